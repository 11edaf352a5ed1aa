/** Milliseconds before the attempt after `attempt`: 1 s, 4 s, 16 s, … at most five minutes. */
export function backoffMs(attempt: number): number {
  return Math.min(300_000, 1_000 * 4 ** Math.max(0, attempt - 1));
}
