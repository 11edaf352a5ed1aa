import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '../../domain/errors.ts';

/** How long a transfer that has begun waits for a server that went away; a restart takes less. */
const OUTAGE_MS = 15_000;
const PAUSE_MS = 250;

/**
 * The result of `work`, which is tried again while the store is away, for some 15 s at most and while `isWanted`. It must
 * be harmless to repeat.
 */
export async function bridgeOutage<T>(work: () => Promise<T>, isWanted: () => boolean): Promise<T> {
  const end = performance.now() + OUTAGE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, 'store.unavailable') || !isWanted() || performance.now() + PAUSE_MS > end)
        throw error;
    }
    // Not all at once when the server is back.
    await delay(PAUSE_MS * (0.5 + Math.random()));
  }
}
