import type { Conversion } from '../../../domain/conversion.ts';
import type { QueueNames } from '../../../flow/announce.ts';
import type { Broker } from '../../../ports/broker.ts';
import type { ConversionStore } from '../../../ports/conversion-store.ts';
import type { FileStore } from '../../../ports/file-store.ts';
import type { Logger } from '../../../ports/logger.ts';

export interface SweeperDeps {
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: Broker;
  readonly queues: QueueNames;
  readonly log: Logger;
}

export interface SweeperOptions {
  /** From the end of one run to the beginning of the next. */
  readonly intervalMs: number;
  /** How long a video stays after its conversion has ended. */
  readonly sourceRetentionMs: number;
  /** The same for an MP3; null: for ever. */
  readonly mp3RetentionMs: number | null;
  /** After so many attempts a conversion whose converter died again is failed. */
  readonly maxAttempts: number;
  /** How long an announcement is left to the one who owes it; 5,000 by default. */
  readonly unpublishedAfterMs?: number;
  /** How long a converter may be silent after its lease ran out; 15,000 by default. */
  readonly abandonedAfterMs?: number;
  /** The age at which a half-written file, or a draft of an ended conversion, is nobody's. */
  readonly leftoverAgeMs: number;
  /** The clock; Date.now by default. */
  readonly now?: () => number;
}

/** What one run did. */
export interface SweepReport {
  published: number;
  /** Uploads that nobody finishes. */
  removedUploads: number;
  failed: number;
  revived: number;
  removedVideos: number;
  removedMp3s: number;
  removedDrafts: number;
  removedPartials: number;
}

/** What the steps of a run share. */
export interface SweepContext {
  readonly deps: SweeperDeps;
  readonly options: Required<SweeperOptions>;
  /** Aborted by stop(); each step then ends after the record it is at. */
  readonly stopping: AbortSignal;
  /** Of the run that runs. */
  readonly report: SweepReport;
}

const PAGE = 100;

/**
 * Handles each record that `find` gives, page by page, until nothing new comes. Each once: a record that stays due must
 * not hold up the others.
 */
export async function eachDue(
  stopping: AbortSignal,
  find: (limit: number) => Promise<readonly Conversion[]>,
  handle: (conversion: Conversion) => Promise<void>,
): Promise<void> {
  const seen = new Set<string>();
  for (;;) {
    const page = await find(seen.size + PAGE);
    const fresh = page.filter(({ id }) => !seen.has(id));
    for (const conversion of fresh) {
      if (stopping.aborted) return;
      seen.add(conversion.id);
      await handle(conversion);
    }
    if (fresh.length < PAGE) return;
  }
}
