import type { AudioOptions } from '../domain/audio-options.ts';
import { asAudiowaveError, AudiowaveError } from '../domain/errors.ts';
import type { AudioRequest, AudioResult } from '../ports/audio-engine.ts';
import { chooseBitrate, type EncodingChoice } from './bit-rate.ts';
import { HEAD_BYTES, inspectContainer, UNKNOWN_CONTAINER, type ContainerFacts } from './container.ts';
import { beginsLikeEbml } from './ebml.ts';
import type { EncoderExit } from './encoder-process.ts';
import { EncoderRun } from './encoder-run.ts';
import type { Encoder, FoundEncoding, Told } from './encoder.ts';
import { estimateSoundKbps } from './matroska.ts';
import { BrokenMp3, Mp3Stream } from './mp3/mp3-stream.ts';
import type { SourceFile } from './source-file.ts';
import { trueSamples } from './true-samples.ts';
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
  const head = await file.readAt(0, HEAD_BYTES);
  const verdict = verdictBeforeStart(file.sizeBytes, head);
  if (verdict !== undefined) throw verdict;
  // Looked at while the program works: only the end needs to know.
  const container = inspectContainer(file).catch(() => UNKNOWN_CONTAINER);
  const over = new AbortController();
  const estimate = mayNeedEstimate(request.options, head)
    ? estimateSoundKbps(file, over.signal).catch(() => undefined)
    : Promise.resolve(undefined);
  const encoding = new Encoding(request, file, encoder, limits);
  try {
    return await encoding.run(container, estimate);
  } finally {
    over.abort();
    await encoding.close();
    await container;
    await estimate;
  }
}

/** Matroska need not say the bit rate of its sound, and where something else chooses the MP3's it is of no use. */
function mayNeedEstimate(options: AudioOptions, head: Buffer): boolean {
  return options.mode === 'cbr' && !options.explicit && beginsLikeEbml(head);
}

const PROGRESS_EVERY_MS = 200;

/** Settles soon, and is never rejected. */
type Estimate = Promise<number | undefined>;

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

  async run(container: Promise<ContainerFacts>, estimate: Estimate): Promise<AudioResult> {
    try {
      this.#watch.throwIfEnded();
      const run = await this.#startRightly(estimate);
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
  async #startRightly(estimate: Estimate): Promise<EncoderRun> {
    const { guesses } = this.#encoder;
    // A program that guesses starts at once; the other one has only this chance to be told.
    const told = guesses ? undefined : await Promise.race([estimate, this.#watch.ended]);
    const run = this.#start(0, undefined, told);
    await Promise.race([run.settled, this.#watch.ended]);
    const choice = guesses ? await this.#betterChoice(run.told, estimate) : undefined;
    if (choice === undefined) return run;
    run.kill();
    await run.exited;
    this.#watch.throwIfEnded();
    const again = this.#start(1, choice);
    await Promise.race([again.settled, this.#watch.ended]);
    return again;
  }

  /** What must be chosen instead of what a guessing program does; undefined where it does the right thing or can't. */
  async #betterChoice(
    { source, encoding, failure }: Told,
    estimate: Estimate,
  ): Promise<EncodingChoice | undefined> {
    const { options } = this.#request;
    if (source === undefined || source.sampleRateHz === 0 || failure !== undefined) return undefined;
    const bitrateKbps = source.bitrateKbps ?? (await Promise.race([estimate, this.#watch.ended])) ?? null;
    const choice = chooseBitrate(options, { ...source, bitrateKbps });
    return isChosen(choice, options, encoding) ? undefined : choice;
  }

  #start(start: 0 | 1, choice?: EncodingChoice, estimatedKbps?: number): EncoderRun {
    const run = new EncoderRun({
      encoder: this.#encoder,
      command: this.#encoder.command(this.#request.options, choice, estimatedKbps),
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

/** True where a program that was started on the options alone does what was chosen. */
function isChosen(
  choice: EncodingChoice,
  options: AudioOptions,
  encoding: FoundEncoding | undefined,
): boolean {
  const rightRate =
    options.mode === 'vbr' || choice.mode === 'vbr' || choice.bitrateKbps === options.bitrateKbps;
  const rightShape =
    encoding === undefined ||
    (encoding.sampleRateHz === choice.sampleRateHz && encoding.channels === choice.channels);
  return rightRate && rightShape;
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
