const MOST_KEPT = 10_000;

/**
 * How long what can't be done now waits before its next try: at first a little, then as long as it has been in vain
 * already, so that an interruption of seconds costs seconds and one of hours is not hammered at. In memory: a process
 * that starts begins with short waits.
 */
export class Pauses {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #inVainSince = new Map<string, number>();

  constructor(limits: { readonly firstMs: number; readonly longestMs: number }) {
    this.#longestMs = limits.longestMs;
    this.#firstMs = Math.min(limits.firstMs, limits.longestMs);
  }

  /** Milliseconds until `key` may be tried again, with some jitter. */
  next(key: string, now: number): number {
    const since = this.#inVainSince.get(key) ?? now;
    // The oldest goes, and begins with short waits once more.
    const [oldest] = this.#inVainSince.keys();
    if (oldest !== undefined && this.#inVainSince.size >= MOST_KEPT) this.#inVainSince.delete(oldest);
    this.#inVainSince.set(key, since);
    const pause = Math.min(this.#longestMs, Math.max(this.#firstMs, now - since));
    return Math.round(pause * (0.8 + 0.2 * Math.random()));
  }

  /** True where `key` has been tried in vain before. */
  has(key: string): boolean {
    return this.#inVainSince.has(key);
  }

  /** `key` is done with. */
  forget(key: string): void {
    this.#inVainSince.delete(key);
  }
}
