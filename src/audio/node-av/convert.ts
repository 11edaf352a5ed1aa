import { AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants';
import { CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import { AudiowaveError } from '../../domain/errors.ts';
import { chooseBitrate } from '../bit-rate.ts';
import { GatheredOutput } from './blocking-write.ts';
import { FrameShaper } from './frame-shaper.ts';
import { Lame } from './lame.ts';
import type { ReportPipe } from './reports.ts';
import { describeSource } from './source-facts.ts';
import { openSource, type Source } from './source.ts';
import { WorkerLog } from './worker-log.ts';
import type { WorkerOptions } from './worker-options.ts';

const SOURCE_DESCRIPTOR = 0;
const MP3_DESCRIPTOR = 1;
const OUTPUT_BYTES = 32 * 1024;
/** Of one packet: FFmpeg takes a broken one out of its way, so this only keeps a faulty decoder from going round for ever. */
const MOST_FAILURES = 16;
/** Where more of the sound than this cannot be decoded, its rest is no use (as ffmpeg's -max_error_rate has it). */
const MOST_BROKEN = 2 / 3;

/**
 * Converts the file on descriptor 0 to MP3 frames on descriptor 1. Throws an AudiowaveError for what is the source's
 * fault, anything else where writing fails or FFmpeg does.
 */
export async function convert(options: WorkerOptions, reports: ReportPipe): Promise<void> {
  const log = new WorkerLog();
  log.open();
  try {
    const source = await openSource(SOURCE_DESCRIPTOR, log);
    const track = new SoundTrack(source, options, reports);
    const cleanEnd = await track.encodeAll();
    await log.settle();
    reports.tell({ type: 'done', samples: track.samples, truncated: log.sawCut || !cleanEnd });
  } finally {
    await log.settle();
    log.close();
  }
}

/** The first sound track on its way through decoder, filters and encoder. */
class SoundTrack {
  readonly #source: Source;
  readonly #options: WorkerOptions;
  readonly #reports: ReportPipe;
  readonly #output = new GatheredOutput(MP3_DESCRIPTOR, OUTPUT_BYTES);
  readonly #decoder = new CodecContext();
  readonly #decoded = new Frame();
  #lame: Lame | undefined;
  #shaper: FrameShaper | undefined;
  #msPerSample = 0;
  #goodFrames = 0;
  #brokenPackets = 0;

  constructor(source: Source, options: WorkerOptions, reports: ReportPipe) {
    this.#source = source;
    this.#options = options;
    this.#reports = reports;
    this.#decoded.alloc();
    this.#decoder.allocContext3(source.decoder);
    FFmpegError.throwIfError(this.#decoder.parametersToContext(source.track.codecpar), 'open decoder');
    // Without it the decoder cannot trim what an encoder has put in front.
    this.#decoder.pktTimebase = source.track.timeBase;
    this.#decoder.threadCount = 1;
    if (this.#decoder.open2Sync(source.decoder, null) < 0) throw new AudiowaveError('audio.damaged');
  }

  get samples(): number {
    return this.#lame?.samples ?? 0;
  }

  /** Encodes as much as can be heard; false where reading did not end with the end of the file. */
  async encodeAll(): Promise<boolean> {
    const packet = new Packet();
    packet.alloc();
    let packets = 0;
    let code: number;
    while ((code = this.#source.context.readFrameSync(packet)) >= 0) {
      if (packet.streamIndex === this.#source.track.index) {
        packets += 1;
        this.#decode(packet);
      }
      packet.unref();
      // FFmpeg's log comes in only while we wait, and must not pile up.
      if (this.#progress()) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#decode(null);
    if (this.samples === 0 && this.#lame === undefined) throw noSound(packets);
    if (this.#brokenPackets > MOST_BROKEN * (this.#brokenPackets + this.#goodFrames)) {
      throw new AudiowaveError(
        'audio.damaged',
        'Most of the sound of the file cannot be decoded; it is damaged.',
      );
    }
    this.#shaper?.finish();
    this.#lame?.finish();
    this.#output.flush();
    return code === AVERROR_EOF;
  }

  #progress(): boolean {
    return this.#lame !== undefined && this.#reports.progress(this.#lame.samples * this.#msPerSample);
  }

  #decode(packet: Packet | null): void {
    // A packet that cannot be decoded is left out, as a player does; the ones behind it may be good.
    if (this.#decoder.sendPacketSync(packet) < 0) {
      this.#brokenPackets += 1;
      return;
    }
    for (let failures = 0; failures < MOST_FAILURES;) {
      const code = this.#decoder.receiveFrameSync(this.#decoded);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code < 0) {
        failures += 1;
        this.#brokenPackets += 1;
        continue;
      }
      this.#goodFrames += 1;
      if (this.#decoded.nbSamples > 0) this.#shape(this.#decoded);
      this.#decoded.unref();
    }
  }

  #shape(frame: Frame): void {
    this.#shaper ??= this.#begin(frame);
    this.#shaper.add(frame);
  }

  /** Only the first frame says for certain what the sound is: headers don't know of SBR or of parametric stereo. */
  #begin(frame: Frame): FrameShaper {
    const facts = describeSource(
      this.#source,
      { sampleRateHz: frame.sampleRate, channels: frame.channels },
      this.#options.sourceBitrateKbps,
    );
    this.#reports.tell(facts);
    const choice = chooseBitrate(this.#options, facts);
    const { sampleRateHz, channels } = choice;
    const bitrateKbps = choice.mode === 'cbr' ? choice.bitrateKbps : null;
    this.#reports.tell({ type: 'encoding', sampleRateHz, channels, bitrateKbps });
    const lame = new Lame(choice, (bytes) => {
      this.#output.write(bytes);
    });
    this.#lame = lame;
    this.#msPerSample = 1000 / sampleRateHz;
    const shape = { sampleRateHz, channels, samplesPerFrame: lame.samplesPerFrame };
    return new FrameShaper(shape, (block) => {
      lame.encode(block);
    });
  }
}

function noSound(packets: number): AudiowaveError {
  return packets === 0
    ? new AudiowaveError('audio.no-sound', 'The sound track of the file is empty.')
    : new AudiowaveError('audio.damaged');
}
