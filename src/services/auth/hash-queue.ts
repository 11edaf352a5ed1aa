import { AudiowaveError } from '../../domain/errors.ts';

interface Waiter {
  readonly start: () => void;
}

/** How long a turned-away caller shall wait: a full queue of defaults is worked off well within a second. */
const RETRY_AFTER_SECONDS = 1;

/**
 * Runs at most `concurrency` works at a time, first come first served; at most `maxWaiting` wait. Password hashes
 * run on libuv's pool of four threads, where file reads wait behind them: without this bound a burst of logins
 * stops everything else.
 */
export class HashQueue {
  readonly #concurrency: number;
  readonly #maxWaiting: number;
  readonly #waiting: Waiter[] = [];
  #running = 0;

  constructor(options: { readonly concurrency: number; readonly maxWaiting: number }) {
    this.#concurrency = options.concurrency;
    this.#maxWaiting = options.maxWaiting;
  }

  /** Runs `work` when its turn comes. `auth.busy` where too many wait; the signal's reason where it aborts while waiting. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.#concurrency) this.#running++;
    else await this.#wait(signal);
    try {
      return await work();
    } finally {
      this.#release();
    }
  }

  async #wait(signal?: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new AudiowaveError('auth.busy', undefined, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = {
      start: () => {
        resolve(undefined);
      },
    };
    const giveUp = (): void => {
      const place = this.#waiting.indexOf(waiter);
      // A waiter that has been started already goes on: its place is counted as running.
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      reject(signal?.reason as Error);
    };
    this.#waiting.push(waiter);
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /** Hands the place to the next in line, so that nobody can slip in between. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next.start();
  }
}
