import { AudiowaveError } from '../../../domain/errors.ts';

/**
 * Watches one fetch: ends it when its caller gives up, when it takes too long as a whole, or when one step does. What
 * ended it is the reason of `signal`. Owns the timers; end() clears them.
 */
export class FetchWatch {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #whole: NodeJS.Timeout;
  readonly #giveUp = (): void => {
    this.#controller.abort(this.#caller.reason);
  };

  constructor(caller: AbortSignal, wholeMs: number) {
    caller.throwIfAborted();
    this.#caller = caller;
    this.#whole = setTimeout(() => {
      this.#timeOut('Fetching the video took too long.');
    }, wholeMs);
    caller.addEventListener('abort', this.#giveUp, { once: true });
  }

  /** Aborts when the fetch shall end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Waits for a step that itself ends when `signal` aborts, which it does after `ms`. */
  async within<T>(ms: number, step: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#timeOut('The server behind the URL was silent for too long.');
    }, ms);
    try {
      return await step;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for a step that can't be stopped, a name look-up, and leaves it behind when `signal` aborts. */
  async leaving<T>(step: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const leave = (): void => {
      reject(this.signal.reason as Error);
    };
    this.signal.addEventListener('abort', leave, { once: true });
    try {
      this.signal.throwIfAborted();
      return await Promise.race([step, promise]);
    } finally {
      this.signal.removeEventListener('abort', leave);
    }
  }

  end(): void {
    clearTimeout(this.#whole);
    this.#caller.removeEventListener('abort', this.#giveUp);
  }

  #timeOut(message: string): void {
    this.#controller.abort(new AudiowaveError('import.timed-out', message));
  }
}
