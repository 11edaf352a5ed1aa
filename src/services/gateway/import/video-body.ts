import { AudiowaveError } from '../../../domain/errors.ts';
import type { FetchWatch } from './fetch-watch.ts';

export interface VideoBodyOptions {
  readonly watch: FetchWatch;
  /** Lets go of connection and timers; called once. */
  readonly end: () => Promise<void>;
  readonly idleMs: number;
  /** Bytes that must come; null where chunks tell the end. */
  readonly length: number | null;
  readonly maxBytes: number;
}

/**
 * The bytes of a fetched video. Ends well only when all have come; fails with `import.failed` where the connection
 * breaks off, `import.too-large`, `import.timed-out`, or the caller's reason. An object and not a generator: return()
 * of a generator that nobody has begun runs no `finally`, and the connection would stay.
 */
export class VideoBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined, undefined> {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #options: VideoBodyOptions;
  #received = 0;
  #hasEnded = false;
  #failure: Error | undefined;

  constructor(source: AsyncIterable<Uint8Array>, options: VideoBodyOptions) {
    this.#source = source[Symbol.asyncIterator]();
    this.#options = options;
    // A caller that gives up before the first step, or between two, still lets go.
    const { signal } = options.watch;
    if (signal.aborted) void this.#end();
    else signal.addEventListener('abort', () => void this.#end(), { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { watch, idleMs } = this.#options;
    // Whoever asks again after a failure must not be told that all is here.
    if (this.#failure !== undefined) throw this.#failure;
    try {
      watch.signal.throwIfAborted();
      if (this.#hasEnded) return { done: true, value: undefined };
      const step = await watch.within(idleMs, this.#source.next());
      watch.signal.throwIfAborted();
      if (step.done === true) return await this.#finish();
      this.#count(step.value.byteLength);
      return { done: false, value: step.value };
    } catch (error) {
      await this.#end();
      this.#failure = watch.signal.aborted ? (watch.signal.reason as Error) : brokenOff(error);
      throw this.#failure;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#end();
    return { done: true, value: undefined };
  }

  #count(bytes: number): void {
    this.#received += bytes;
    if (this.#received > this.#options.maxBytes) throw new AudiowaveError('import.too-large');
  }

  async #finish(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { length } = this.#options;
    if (length !== null && length !== this.#received) {
      throw new Error(`${String(this.#received)} of ${String(length)} bytes came`);
    }
    await this.#end();
    return { done: true, value: undefined };
  }

  async #end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.#options.end();
  }
}

function brokenOff(error: unknown): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  return new AudiowaveError('import.failed', 'The connection broke off before the video was whole.', {
    cause: error,
    detail: error instanceof Error ? error.message : String(error),
  });
}
