import { renew } from '../../domain/conversion.ts';
import type { FileId } from '../../domain/ids.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';

export interface LeaseKeeper {
  /** Ends the renewals; resolves when none runs any more. */
  stop(): Promise<void>;
}

export interface LeaseTerms {
  readonly holder: string;
  readonly leaseMs: number;
  /** Called once, when the record is no longer the holder's: cancelled, swept or removed. */
  readonly onLost: () => void;
}

/** Renews a record's lease three times within its length. */
export function keepLease(
  conversions: ConversionStore,
  id: FileId,
  terms: LeaseTerms,
  log: Logger,
): LeaseKeeper {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();

  async function renewOnce(): Promise<void> {
    const now = Date.now();
    const lease = { holder: terms.holder, until: now + terms.leaseMs };
    try {
      if ((await conversions.update(id, (current) => renew(current, lease, null, now))) !== undefined) return;
      if (stopped) return;
      stopped = true;
      terms.onLost();
    } catch (error) {
      // The store may be away for a moment. Whether the lease was lost meanwhile is found at its next answer.
      log.warn({ err: error, conversionId: id }, 'lease not renewed');
    }
  }

  function arm(): void {
    timer = setTimeout(() => {
      running = renewOnce().finally(() => {
        if (!stopped) arm();
      });
    }, terms.leaseMs / 3);
  }

  arm();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
