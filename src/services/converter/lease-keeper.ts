import { renew, type Conversion } from '../../domain/conversion.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';

export interface LeaseKeeper {
  /** Aborted when the conversion is no longer ours: cancelled, or taken over. */
  readonly lost: AbortSignal;
  /** The share that is encoded, written with the next renewal. */
  progress(share: number): void;
  /** Ends the renewals; resolves when none runs any more. */
  stop(): Promise<void>;
}

export interface LeaseTimes {
  readonly holder: string;
  readonly leaseMs: number;
  readonly renewMs: number;
}

/** Keeps a claimed conversion ours while it runs, and tells its progress on the way. */
export function keepLease(
  conversions: ConversionStore,
  conversion: Conversion,
  times: LeaseTimes,
  log: Logger,
): LeaseKeeper {
  const lost = new AbortController();
  let share: number | null = null;
  let running: Promise<void> = Promise.resolve();
  let leaseUntil = conversion.lease?.until ?? 0;

  async function renewOnce(): Promise<void> {
    const now = Date.now();
    const lease = { holder: times.holder, until: now + times.leaseMs };
    try {
      const renewed = await conversions.update(conversion.id, (current) => renew(current, lease, share, now));
      if (renewed === undefined) lost.abort();
      else leaseUntil = lease.until;
    } catch (error) {
      // The store may be away for a moment; the lease is lost only when it has run out.
      log.warn({ err: error, conversionId: conversion.id }, 'lease not renewed');
      if (Date.now() >= leaseUntil) lost.abort();
    }
  }

  let busy = false;
  const timer = setInterval(() => {
    if (busy || lost.signal.aborted) return;
    busy = true;
    running = renewOnce().finally(() => {
      busy = false;
    });
  }, times.renewMs);

  return {
    lost: lost.signal,
    progress: (next) => {
      share = next;
    },
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
