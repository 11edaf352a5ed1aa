import { setTimeout as delay } from 'node:timers/promises';
import { isAway } from '../domain/errors.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunningRole } from '../ports/role.ts';
import { reasonOf } from './reason.ts';

export interface PatientStartOptions {
  readonly log: Logger;
  /** Says of what waits why it does; undefined: it waits no longer. */
  readonly onWait: (reason: string | undefined) => void;
  /** Told of a failure that no waiting helps, after startPatiently() has resolved. */
  readonly onFailure: (error: unknown) => void;
  /** How long the caller waits for a server that is away before it goes on; 2,000 by default. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 2_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Starts what needs a server that may be away: resolves when it runs, or soon; it then goes on trying, until it runs or is
 * stopped. Rejects with an error that no waiting helps. stop() of what does not run yet ends the tries at once.
 */
export async function startPatiently(
  start: () => Promise<RunningRole>,
  options: PatientStartOptions,
): Promise<RunningRole> {
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: RunningRole | undefined;
  const tries = tryUntilStarted(start, signal, options).then(async (role) => {
    running = role;
    // It came up in the moment in which nobody wanted it any more.
    if (signal.aborted) await role?.stop(0);
  });
  const patience = new AbortController();
  const time = delay(options.patienceMs ?? PATIENCE_MS, undefined, { signal: patience.signal });
  await Promise.race([tries, time.catch(() => undefined)]);
  patience.abort();
  tries.catch(options.onFailure);
  return {
    stop: async (graceMs) => {
      stopping.abort();
      await running?.stop(graceMs);
    },
  };
}

/** Undefined where `signal` ended the tries. */
async function tryUntilStarted(
  start: () => Promise<RunningRole>,
  signal: AbortSignal,
  { log, onWait }: PatientStartOptions,
): Promise<RunningRole | undefined> {
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      const role = await start();
      onWait(undefined);
      return role;
    } catch (error) {
      if (!isAway(error)) throw error;
      if (pauseMs === FIRST_PAUSE_MS)
        log.warn({ reason: reasonOf(error) }, 'waiting for a server that is away');
      onWait(reasonOf(error));
    }
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}
