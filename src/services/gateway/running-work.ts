import type { FileId } from '../../domain/ids.ts';

/** One upload or fetch of this process. */
export interface Run {
  readonly signal: AbortSignal;
  abort(reason: Error): void;
  end(): void;
}

/** The uploads and fetches that this process holds, so that a cancellation and a stop reach them at once. */
export class RunningWork {
  readonly #runs = new Map<FileId, { controller: AbortController; stopped: Error }>();
  #isStopped = false;
  #idle: (() => void)[] = [];

  /** `stopped` is the reason its signal aborts with where the gateway stops before it ends. */
  begin(id: FileId, stopped: Error): Run {
    const controller = new AbortController();
    this.#runs.set(id, { controller, stopped });
    if (this.#isStopped) controller.abort(stopped);
    return {
      signal: controller.signal,
      abort: (reason) => {
        controller.abort(reason);
      },
      end: () => {
        this.#runs.delete(id);
        if (this.#runs.size > 0) return;
        for (const wake of this.#idle) wake();
        this.#idle = [];
      },
    };
  }

  /** Stops the run of `id`, where this process has it. */
  abort(id: FileId, reason: Error): void {
    this.#runs.get(id)?.controller.abort(reason);
  }

  /** True where this process has the upload or fetch of `id`. */
  has(id: FileId): boolean {
    return this.#runs.has(id);
  }

  /** The gateway stops: what runs, and what begins from now on. */
  stopAll(): void {
    this.#isStopped = true;
    for (const { controller, stopped } of this.#runs.values()) controller.abort(stopped);
  }

  /** Resolves when nothing runs. */
  settled(): Promise<void> {
    if (this.#runs.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }
}
