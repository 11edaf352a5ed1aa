import { AudiowaveError } from '../domain/errors.ts';

export interface WatchLimits {
  readonly timeoutMs: number;
  readonly stallMs: number;
}

const LOOK_EVERY_MS = 250;

/**
 * Decides when a conversion must end before its time: aborted, too slow as a whole, or without any sign of life. The
 * first reason counts. To be closed, whatever happens.
 */
export class Watch {
  /** Rejects with the reason; never resolves. */
  readonly ended: Promise<never>;
  /** Why the conversion must end; undefined while it may go on. */
  reason: AudiowaveError | undefined;
  readonly #limits: WatchLimits;
  readonly #signal: AbortSignal;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #reject: (reason: AudiowaveError) => void;
  #lastSign = performance.now();
  #signOfLife: unknown;
  #waitsForUs = 0;

  /** `onEnd` is called at once when there is a reason. */
  constructor(limits: WatchLimits, signal: AbortSignal, onEnd: () => void) {
    this.#limits = limits;
    this.#signal = signal;
    const { promise, reject } = Promise.withResolvers<never>();
    // Nobody may be waiting at that moment.
    promise.catch(() => undefined);
    this.ended = promise;
    this.#reject = (reason) => {
      if (this.reason !== undefined) return;
      this.reason = reason;
      onEnd();
      reject(reason);
    };
    this.#timer = setInterval(() => {
      this.#look();
    }, LOOK_EVERY_MS);
    signal.addEventListener('abort', this.#onAbort);
    if (signal.aborted) this.#onAbort();
  }

  /** The program is alive where `sign` is another one than last time (bytes, media time). */
  see(sign: unknown): void {
    if (sign === this.#signOfLife) return;
    this.#signOfLife = sign;
    this.#lastSign = performance.now();
  }

  /** Waits for something that is not the program's doing: meanwhile its silence does not count. Ends where the watch ends. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#waitsForUs += 1;
    try {
      return await Promise.race([work, this.ended]);
    } finally {
      this.#waitsForUs -= 1;
      this.#lastSign = performance.now();
    }
  }

  /** Throws the reason where there is one. */
  throwIfEnded(): void {
    if (this.reason !== undefined) throw this.reason;
  }

  /** Ends the conversion with `reason`. */
  end(reason: AudiowaveError): void {
    this.#reject(reason);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.end(new AudiowaveError('audio.cancelled', undefined, { cause: this.#signal.reason }));
  };

  #look(): void {
    const now = performance.now();
    if (now - this.#startedAt > this.#limits.timeoutMs) {
      const seconds = String(Math.round(this.#limits.timeoutMs / 1000));
      this.end(
        new AudiowaveError(
          'audio.too-long',
          `The conversion took longer than ${seconds} s, the most that is allowed here.`,
        ),
      );
    } else if (this.#waitsForUs === 0 && now - this.#lastSign > this.#limits.stallMs) {
      this.end(new AudiowaveError('audio.encoder-failed', 'The encoder program stood still.'));
    }
  }
}
