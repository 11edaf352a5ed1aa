import { setTimeout as delay } from 'node:timers/promises';
import { isAway } from '../domain/errors.ts';

export interface Persistence {
  /** From the end of one try to the beginning of the next. */
  readonly everyMs: number;
  /** No try begins after this time (milliseconds since the epoch); for ever by default. */
  readonly until?: number;
  /** Ends it, with the last error. */
  readonly signal?: AbortSignal;
  readonly onAway: (error: unknown) => void;
}

/**
 * Tries again while a dependency is away, and gives what the first successful try gave. `attempt` must be one that may be
 * repeated: an error tells nothing of whether it took effect. Throws its last error.
 */
export async function tryWhileAway<T>(attempt: () => Promise<T>, how: Persistence): Promise<T> {
  const { everyMs, until = Infinity, signal, onAway } = how;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isAway(error) || signal?.aborted === true || Date.now() + everyMs >= until) throw error;
      onAway(error);
    }
    await delay(everyMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
