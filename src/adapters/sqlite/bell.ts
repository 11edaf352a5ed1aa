/** Wakes one waiter: when it rings, or when the waiter's time is over. A ring before the wait is not lost. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves after `maxMs` (Infinity: only by a ring), never before the event loop had its turn. */
  async wait(maxMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#rung) {
        setImmediate(resolve);
        return;
      }
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        setImmediate(resolve);
      };
      const timer = Number.isFinite(maxMs) ? setTimeout(wake, maxMs) : undefined;
      this.#wake = wake;
    });
    this.#rung = false;
  }
}
