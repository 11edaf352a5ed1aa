const STRETCH_SECONDS = 4;
const LEAST_SECONDS = 2;
/** The frames of one block last less: what is behind a longer gap is another recording. */
const LONGEST_GAP_SECONDS = 5;

/** Takes the blocks of a track in their order, and keeps the rate of the richest stretch of 4 s. */
export class RateMeter {
  /** How many were seen to their end. */
  stretches = 0;
  #highest = 0;
  #begin = 0;
  #last = -Infinity;
  #bytes = 0;
  #lastBytes = 0;

  add(seconds: number, bytes: number): void {
    const gap = seconds - this.#last;
    if (gap < 0 || gap > LONGEST_GAP_SECONDS) this.#restart(seconds);
    // How long a block lasts is known when the next one begins.
    else this.#bytes += this.#lastBytes;
    this.#last = seconds;
    this.#lastBytes = bytes;
    if (seconds - this.#begin < STRETCH_SECONDS) return;
    this.#restart(seconds);
    this.stretches += 1;
  }

  /** In bit/s; 0 where no 2 s were seen. */
  highest(): number {
    this.#restart(this.#last);
    return this.#highest;
  }

  #restart(seconds: number): void {
    const length = this.#last - this.#begin;
    if (length >= LEAST_SECONDS) this.#highest = Math.max(this.#highest, (this.#bytes * 8) / length);
    this.#begin = seconds;
    this.#bytes = 0;
  }
}
