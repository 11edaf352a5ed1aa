import type { ReadOptions } from './file-store.ts';

/** First and last byte to read, both inclusive; the same in every adapter. A TypeError where they are no range at all. */
export function rangeOf(options: ReadOptions): { start: number; end: number } {
  const { start = 0, end = Number.MAX_SAFE_INTEGER } = options;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new TypeError('A range has a start of 0 or more and an end that is not before it.');
  }
  return { start, end };
}
