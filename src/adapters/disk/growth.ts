import type { FileId } from '../../domain/ids.ts';

/** Tells the followers in this process that a file has grown or ended, so that they need not wait for their next poll. */
export class Growth {
  readonly #listeners = new Map<FileId, Set<() => void>>();

  ring(id: FileId): void {
    for (const listener of this.#listeners.get(id) ?? []) listener();
  }

  /** Begins to listen; nothing that happens from now on is missed, also between two waits. */
  listen(id: FileId): GrowthListener {
    const listener = new GrowthListener(() => {
      const listeners = this.#listeners.get(id);
      listeners?.delete(listener.ring);
      if (listeners?.size === 0) this.#listeners.delete(id);
    });
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener.ring));
    return listener;
  }
}

export class GrowthListener {
  readonly stop: () => void;
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(stop: () => void) {
    this.stop = stop;
  }

  readonly ring = (): void => {
    this.#rung = true;
    this.#wake?.();
  };

  /** Resolves when the file has changed since the last wait, after `atMostMs`, or when `signal` fires. */
  async wait(atMostMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#rung && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', end);
          this.#wake = undefined;
          resolve();
        };
        const timer = setTimeout(end, atMostMs);
        signal?.addEventListener('abort', end, { once: true });
        this.#wake = end;
      });
    }
    this.#rung = false;
  }
}
