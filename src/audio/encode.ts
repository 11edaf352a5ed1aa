import type { AudioOptions } from '../domain/audio-options.ts';
import { asAudiowaveError, AudiowaveError } from '../domain/errors.ts';
import type { AudioRequest, AudioResult } from '../ports/audio-engine.ts';
import { chooseBitrate, type EncodingChoice } from './bit-rate.ts';
import { HEAD_BYTES, inspectContainer, UNKNOWN_CONTAINER, type ContainerFacts } from './container.ts';
import type { EncoderExit } from './encoder-process.ts';
import { EncoderRun } from './encoder-run.ts';
import type { Encoder, Told } from './encoder.ts';
import type { FrameHeader } from './mp3/frame-header.ts';
import { LAME_DELAY, MOST_PADDING } from './mp3/info-frame.ts';
import { BrokenMp3, Mp3Stream } from './mp3/mp3-stream.ts';
import type { SourceFile } from './source-file.ts';
import { explainFailure, isIncomplete, verdictBeforeStart } from './verdict.ts';
import { Watch, type WatchLimits } from './watch.ts';

export interface EncodeLimits extends WatchLimits {
  readonly maxMp3Bytes: number;
}

/** Encodes one source with one program. The program is gone when this settles, however it does. */
export async function encode(
  request: AudioRequest,
  file: SourceFile,
  encoder: Encoder,
  limits: EncodeLimits,
): Promise<AudioResult> {
  const verdict = verdictBeforeStart(file.sizeBytes, await file.readAt(0, HEAD_BYTES));
  if (verdict !== undefined) throw verdict;
  // Looked at while the program works: only the end needs to know.
  const container = inspectContainer(file).catch(() => UNKNOWN_CONTAINER);
  const encoding = new Encoding(request, file, encoder, limits);
  try {
    return await encoding.run(container);
  } finally {
    await encoding.close();
    await container;
  }
}

/** A decoder drops these after LAME's delay (ISO/IEC 11172-3 decoders: 528 + 1). */
const DECODER_DELAY = 529;
/** One frame of the codecs in MP4 holds at most this many samples. */
const LONGEST_FILLING = 2048;
const PROGRESS_EVERY_MS = 200;

class Encoding {
  readonly #request: AudioRequest;
  readonly #file: SourceFile;
  readonly #encoder: Encoder;
  readonly #limits: EncodeLimits;
  readonly #watch: Watch;
  readonly #mp3: Mp3Stream;
  #run: EncoderRun | undefined;
  #share = -1;
  #nextProgress = 0;

  constructor(request: AudioRequest, file: SourceFile, encoder: Encoder, limits: EncodeLimits) {
    this.#request = request;
    this.#file = file;
    this.#encoder = encoder;
    this.#limits = limits;
    this.#mp3 = new Mp3Stream({ variable: request.options.mode === 'vbr' });
    this.#watch = new Watch(limits, request.signal, () => this.#run?.kill());
  }

  async run(container: Promise<ContainerFacts>): Promise<AudioResult> {
    try {
      this.#watch.throwIfEnded();
      const run = await this.#startRightly();
      await this.#pour(run);
      const exit = await Promise.race([run.exited, this.#watch.ended]);
      return await this.#finish(run, exit, await container);
    } catch (error) {
      // What is thrown after the program was ended on purpose is only a consequence.
      throw this.#watch.reason ?? (error instanceof BrokenMp3 ? brokenOutput(error, this.#run) : error);
    }
  }

  async close(): Promise<void> {
    this.#watch.close();
    this.#run?.kill();
    await this.#run?.exited;
  }

  /** Starts the program, and once more where its first guess is not what its source needs. */
  async #startRightly(): Promise<EncoderRun> {
    const { options } = this.#request;
    const run = this.#start(0, undefined);
    await Promise.race([run.settled, this.#watch.ended]);
    const choice = this.#encoder.guesses ? betterChoice(options, run.told) : undefined;
    if (choice === undefined) return run;
    run.kill();
    await run.exited;
    this.#watch.throwIfEnded();
    const again = this.#start(1, choice);
    await Promise.race([again.settled, this.#watch.ended]);
    return again;
  }

  #start(start: 0 | 1, choice: EncodingChoice | undefined): EncoderRun {
    const run = new EncoderRun({
      encoder: this.#encoder,
      command: this.#encoder.command(this.#request.options, choice),
      descriptor: this.#file.descriptor(start),
      // Several threads may run at once; the wall clock is the watch's business.
      cpuSeconds: 30 + (2 * this.#limits.timeoutMs) / 1000,
      onReport: (told) => {
        this.#onReport(told);
      },
    });
    this.#run = run;
    return run;
  }

  #onReport(told: Told): void {
    this.#watch.see(`${String(this.#mp3.totalBytes)}/${String(told.mediaMs)}`);
    const lengthMs = told.source?.durationMs ?? null;
    const now = performance.now();
    if (lengthMs === null || lengthMs <= 0 || now < this.#nextProgress) return;
    this.#tellShare(Math.min(1, told.mediaMs / lengthMs));
    this.#nextProgress = now + PROGRESS_EVERY_MS;
  }

  #tellShare(share: number): void {
    if (share <= this.#share || this.#watch.reason !== undefined) return;
    this.#share = share;
    try {
      this.#request.onProgress?.(share);
    } catch (error) {
      this.#watch.end(asAudiowaveError(error));
    }
  }

  /** Head first, then every frame, at the sink's pace. */
  async #pour(run: EncoderRun): Promise<void> {
    const { sink } = this.#request;
    const waiting: Uint8Array[] = [];
    let hasHead = false;
    for await (const chunk of run.chunks()) {
      this.#mp3.push(chunk);
      this.#watch.see(this.#mp3.totalBytes);
      if (this.#mp3.totalBytes > this.#limits.maxMp3Bytes) throw tooLarge(this.#limits.maxMp3Bytes);
      waiting.push(chunk);
      if (this.#mp3.first === undefined) continue;
      if (!hasHead)
        waiting.unshift(this.#mp3.reserveHead({ ...this.#request.tags, ...run.told.source?.tags }));
      hasHead = true;
      for (const bytes of waiting.splice(0)) await this.#watch.during(sink.write(bytes));
    }
  }

  async #finish(run: EncoderRun, exit: EncoderExit, container: ContainerFacts): Promise<AudioResult> {
    const { told } = run;
    const { first, frames } = this.#mp3;
    const cameThrough =
      exit.code === 0 || (exit.code !== null && (told.truncated || container.truncated === true));
    const counted = told.samples ?? (this.#encoder.guesses ? undefined : -1);
    const room = frames * (first?.samplesPerFrame ?? 0);
    const believable = counted === undefined || (counted >= 0 && counted <= room);
    if (!cameThrough || !believable || first === undefined || told.failure !== undefined) {
      throw explainFailure({ exit, told, container, frames, logEnd: run.logEnd });
    }
    const samples = trueSamples(counted, room, first, container.soundSeconds);
    const head = this.#mp3.finalHead(counted === undefined ? undefined : samples);
    await this.#watch.during(this.#request.sink.rewriteHead?.(head) ?? Promise.resolve());
    if (told.source?.durationMs !== null && told.source !== undefined) this.#tellShare(1);
    const durationMs = Math.round((samples / first.sampleRateHz) * 1000);
    return {
      durationMs,
      mp3Bytes: this.#mp3.totalBytes,
      incomplete: isIncomplete(told, container, durationMs),
      sourceCodec: told.source?.codec ?? 'unknown',
      sampleRateHz: first.sampleRateHz,
      channels: first.channels,
      bitrateKbps: this.#request.options.mode === 'vbr' ? null : first.bitrateKbps,
    };
  }
}

/**
 * The samples of the sound itself. A decoder that does not trim (FFmpeg 5.1; 8.1 does) also gives what the source's encoder
 * has filled its last frame with: where that can be said in the MP3's padding, it is.
 */
function trueSamples(
  counted: number | undefined,
  room: number,
  { sampleRateHz }: FrameHeader,
  soundSeconds: number | undefined,
): number {
  if (counted === undefined) return Math.max(0, room - LAME_DELAY - DECODER_DELAY);
  const declared = Math.round((soundSeconds ?? Infinity) * sampleRateHz);
  const filling = counted - declared;
  const fits = filling > 0 && filling <= LONGEST_FILLING && room - LAME_DELAY - declared <= MOST_PADDING;
  return fits ? declared : counted;
}

/** What must be chosen instead of what a guessing program does; undefined where it does the right thing or can't. */
function betterChoice(options: AudioOptions, told: Told): EncodingChoice | undefined {
  const { source, encoding } = told;
  if (source === undefined || source.sampleRateHz === 0 || told.failure !== undefined) return undefined;
  const choice = chooseBitrate(options, source);
  const rightRate =
    options.mode === 'vbr' || choice.mode === 'vbr' || choice.bitrateKbps === options.bitrateKbps;
  const rightShape =
    encoding === undefined ||
    (encoding.sampleRateHz === choice.sampleRateHz && encoding.channels === choice.channels);
  return rightRate && rightShape ? undefined : choice;
}

function tooLarge(maxBytes: number): AudiowaveError {
  const megabytes = String(Math.floor(maxBytes / 1_000_000));
  return new AudiowaveError(
    'audio.too-long',
    `The MP3 grows beyond ${megabytes} MB, the most that is allowed here.`,
  );
}

function brokenOutput(error: BrokenMp3, run: EncoderRun | undefined): AudiowaveError {
  const detail = `${error.message} ${run?.logEnd ?? ''}`;
  return new AudiowaveError('audio.encoder-failed', undefined, { cause: error, detail });
}
