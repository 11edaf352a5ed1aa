import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `probe` gives something other than undefined, false or null, and returns that. A probe that throws
 * counts as "not yet". Fails after `deadlineMs` with the name of the condition and what was last seen.
 */
export async function eventually<T>(
  condition: string,
  probe: () => T | Promise<T>,
  deadlineMs = 15_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false)
        return value as NonNullable<Exclude<T, false>>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(`Not within ${String(deadlineMs)} ms: ${condition}`, { cause: last });
    await delay(20);
  }
}
