const MOST_ENTRIES = 1024;

/**
 * Where the frames of a stream begin, in bounded memory: every n-th position is kept, and n doubles when the list is
 * full. What lies between is interpolated.
 */
export class FramePositions {
  readonly #kept = new Float64Array(MOST_ENTRIES);
  #count = 0;
  #stride = 1;
  #frames = 0;

  /** Frames added so far. */
  get frames(): number {
    return this.#frames;
  }

  /** The next frame begins at byte `position`. */
  add(position: number): void {
    if (this.#frames++ % this.#stride !== 0) return;
    if (this.#count === MOST_ENTRIES) {
      this.#thinOut();
      if ((this.#frames - 1) % this.#stride !== 0) return;
    }
    this.#kept[this.#count++] = position;
  }

  /** Where frame `index` begins, `endPosition` being the end of the stream. */
  positionOf(index: number, endPosition: number): number {
    const slot = Math.min(Math.floor(index / this.#stride), this.#count - 1);
    if (slot < 0) return 0;
    const from = this.#kept[slot] ?? 0;
    const isLast = slot === this.#count - 1;
    const to = isLast ? endPosition : (this.#kept[slot + 1] ?? endPosition);
    const span = isLast ? this.#frames - slot * this.#stride : this.#stride;
    return from + ((to - from) * (index - slot * this.#stride)) / span;
  }

  #thinOut(): void {
    for (let i = 0; i < MOST_ENTRIES / 2; i++) this.#kept[i] = this.#kept[2 * i] ?? 0;
    this.#count = MOST_ENTRIES / 2;
    this.#stride *= 2;
  }
}
