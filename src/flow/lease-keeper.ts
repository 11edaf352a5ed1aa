import { renew, type Lease } from '../domain/conversion.ts';
import { AudiowaveError } from '../domain/errors.ts';
import type { FileId } from '../domain/ids.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { Logger } from '../ports/logger.ts';

export interface LeaseKeeper {
  /**
   * Aborted when the record is no longer the holder's: with `audio.cancelled` where it was cancelled or removed, with
   * `store.unavailable` where the lease had run out before and it may have been taken over. While the store of records is
   * away the work goes on; whether the lease was lost meanwhile is found at the store's next answer.
   */
  readonly lost: AbortSignal;
  /** The share that is encoded, 0 to 1, written with the next renewal. */
  progress(share: number): void;
  /** Ends the renewals; resolves when none runs any more. Harmless to call twice. */
  stop(): Promise<void>;
}

export interface LeaseTerms {
  readonly leaseMs: number;
  /** From the end of one renewal to the beginning of the next. */
  readonly renewMs: number;
}

/** Keeps a record the holder's while its work runs. To be stopped, whatever happens. */
export function keepLease(
  conversions: ConversionStore,
  record: { readonly id: FileId; readonly lease: Lease | null },
  terms: LeaseTerms,
  log: Logger,
): LeaseKeeper {
  const { id } = record;
  const holder = record.lease?.holder ?? '';
  const lost = new AbortController();
  let leaseUntil = record.lease?.until ?? 0;
  let share: number | null = null;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();

  async function renewOnce(): Promise<void> {
    const now = Date.now();
    const lease = { holder, until: now + terms.leaseMs };
    try {
      const renewed = await conversions.update(id, (current) => renew(current, lease, share, now));
      if (renewed === undefined) lost.abort(reasonOf(now > leaseUntil));
      else leaseUntil = lease.until;
    } catch (error) {
      log.warn({ err: error, conversionId: id }, 'lease not renewed');
    }
  }

  function arm(): void {
    if (isStopped || lost.signal.aborted) return;
    timer = setTimeout(() => {
      running = renewOnce().finally(arm);
    }, terms.renewMs);
  }

  arm();
  return {
    lost: lost.signal,
    progress: (next) => {
      share = next;
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

function reasonOf(hadRunOut: boolean): AudiowaveError {
  if (!hadRunOut) return new AudiowaveError('audio.cancelled');
  return new AudiowaveError('store.unavailable', undefined, { detail: 'the lease ran out unrenewed' });
}
