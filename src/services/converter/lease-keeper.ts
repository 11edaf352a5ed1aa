import { renew, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError, asAudiowaveError } from '../../domain/errors.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';

export interface LeaseKeeper {
  /**
   * Aborted when the conversion is no longer ours, with an AudiowaveError as its reason: `audio.cancelled` where the
   * record says so (cancelled, removed or taken over), the store's error where the lease ran out unrenewed.
   */
  readonly lost: AbortSignal;
  /** The share that is encoded, written with the next renewal. */
  progress(share: number): void;
  /** Ends the renewals; resolves when none runs any more. */
  stop(): Promise<void>;
}

export interface LeaseTimes {
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
  const holder = conversion.lease?.holder ?? '';
  let leaseUntil = conversion.lease?.until ?? 0;
  let share: number | null = null;
  let running: Promise<void> = Promise.resolve();
  let isBusy = false;

  async function renewOnce(): Promise<void> {
    const now = Date.now();
    const lease = { holder, until: now + times.leaseMs };
    try {
      const renewed = await conversions.update(conversion.id, (current) => renew(current, lease, share, now));
      if (renewed === undefined) lost.abort(new AudiowaveError('audio.cancelled'));
      else leaseUntil = lease.until;
    } catch (error) {
      // The store may be away for a moment; the lease is lost only when it has run out.
      log.warn({ err: error, conversionId: conversion.id }, 'lease not renewed');
      if (Date.now() >= leaseUntil) lost.abort(asAudiowaveError(error, 'store.unavailable'));
    }
  }

  const timer = setInterval(() => {
    if (isBusy || lost.signal.aborted) return;
    isBusy = true;
    running = renewOnce().finally(() => {
      isBusy = false;
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
