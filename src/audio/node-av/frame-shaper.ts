import { AV_SAMPLE_FMT_FLTP, type AVSampleFormat } from 'node-av/constants';
import {
  avChannelLayoutDefault,
  avGetSampleFmtName,
  FFmpegError,
  FilterGraph,
  Frame,
  type ChannelLayout,
  type FilterContext,
} from 'node-av/lib';

/** The form in which the encoder takes its sound. */
export interface Shape {
  readonly sampleRateHz: number;
  readonly channels: 1 | 2;
  readonly samplesPerFrame: number;
}

interface Graph {
  readonly graph: FilterGraph;
  readonly input: FilterContext;
  readonly output: FilterContext;
}

/** True for an answer of FFmpeg that carries no frame: it needs more input, or its end is reached. */
function hasNone(code: number): boolean {
  return code < 0;
}

/**
 * Turns decoded frames of any form into frames of exactly one: planar float of the wanted rate and channels, each of
 * the encoder's length but the last one. A source may change its form on the way (broadcasts do).
 */
export class FrameShaper {
  readonly #shape: Shape;
  readonly #onFrame: (frame: Frame) => void;
  readonly #framing: Graph;
  readonly #between = new Frame();
  readonly #shaped = new Frame();
  #converting: Graph | undefined;
  #rate = 0;
  #format: AVSampleFormat | undefined;
  #channels = 0;
  #usualLayout: ChannelLayout | undefined;

  /** `onFrame` is called during add() and finish(); the frame is its own only until it returns. */
  constructor(shape: Shape, onFrame: (frame: Frame) => void) {
    this.#shape = shape;
    this.#onFrame = onFrame;
    this.#between.alloc();
    this.#shaped.alloc();
    const source = formOf(
      shape.sampleRateHz,
      AV_SAMPLE_FMT_FLTP,
      layoutName(avChannelLayoutDefault(shape.channels)),
    );
    this.#framing = buildGraph(source, `asetnsamples=n=${String(shape.samplesPerFrame)}:p=0`);
  }

  add(frame: Frame): void {
    const { sampleRate, format, channels } = frame;
    const same = sampleRate === this.#rate && format === this.#format && channels === this.#channels;
    if (!same) this.#convertFrom(frame);
    if (this.#usualLayout !== undefined) frame.channelLayout = this.#usualLayout;
    this.#convert(frame);
  }

  /** Gives out what is left, the last frame possibly a short one. */
  finish(): void {
    this.#endConverting();
    this.#frame(null);
    this.#framing.graph.free();
  }

  #convertFrom(frame: Frame): void {
    this.#endConverting();
    this.#rate = frame.sampleRate;
    this.#format = frame.format as AVSampleFormat;
    this.#channels = frame.channels;
    const named = frame.channelLayout.mask !== 0n;
    // A frame that does not say where its channels belong (a plain WAVE file) gets the usual places of that many.
    this.#usualLayout = named ? undefined : avChannelLayoutDefault(this.#channels);
    const layout = layoutName(this.#usualLayout ?? frame.channelLayout);
    const wanted = this.#shape.channels === 1 ? 'mono' : 'stereo';
    this.#converting = buildGraph(
      formOf(this.#rate, this.#format, layout),
      `aformat=sample_fmts=fltp:sample_rates=${String(this.#shape.sampleRateHz)}:channel_layouts=${wanted}`,
    );
  }

  /** Also gives out what the resampler holds back. */
  #endConverting(): void {
    if (this.#converting === undefined) return;
    this.#convert(null);
    this.#converting.graph.free();
    this.#converting = undefined;
  }

  #convert(frame: Frame | null): void {
    const graph = this.#converting;
    if (graph === undefined) return;
    FFmpegError.throwIfError(graph.input.buffersrcAddFrameSync(frame), 'convert sound');
    while (!hasNone(graph.output.buffersinkGetFrameSync(this.#between))) this.#frame(this.#between);
  }

  #frame(frame: Frame | null): void {
    FFmpegError.throwIfError(this.#framing.input.buffersrcAddFrameSync(frame), 'frame sound');
    while (!hasNone(this.#framing.output.buffersinkGetFrameSync(this.#shaped))) {
      this.#onFrame(this.#shaped);
      this.#shaped.unref();
    }
  }
}

function layoutName(layout: ChannelLayout): string {
  return layout.mask === 0n ? `${String(layout.nbChannels)}c` : `0x${layout.mask.toString(16)}`;
}

function formOf(sampleRateHz: number, format: AVSampleFormat, layout: string): string {
  const rate = String(sampleRateHz);
  const name = avGetSampleFmtName(format) ?? 'none';
  return `time_base=1/${rate}:sample_rate=${rate}:sample_fmt=${name}:channel_layout=${layout}`;
}

function buildGraph(source: string, chain: string): Graph {
  const graph = new FilterGraph();
  graph.alloc();
  graph.nbThreads = 1;
  const code = graph.parse2(`abuffer@in=${source},${chain},abuffersink@out`);
  FFmpegError.throwIfError(code, 'build filters');
  FFmpegError.throwIfError(graph.configSync(), 'connect filters');
  const [input, output] = [graph.getFilter('abuffer@in'), graph.getFilter('abuffersink@out')];
  if (input === null || output === null) throw new Error('A filter graph has lost its ends');
  return { graph, input, output };
}
