import type { Announcement, Conversion } from '../../domain/conversion.ts';
import { announce, type Announcer, type QueueNames } from '../../flow/announce.ts';
import type { Logger } from '../../ports/logger.ts';

/** Announces; where the broker is away the record goes on owing it, and the sweeper publishes it later. */
export async function announceOrLeave(
  deps: Omit<Announcer, 'queues'> & { readonly log: Logger },
  queues: QueueNames,
  conversion: Conversion,
  announcement: Announcement,
): Promise<void> {
  try {
    await announce({ ...deps, queues }, conversion, announcement);
  } catch (error) {
    const { id: conversionId } = conversion;
    deps.log.warn({ err: error, conversionId, announcement }, 'announcement left to the sweeper');
  }
}
