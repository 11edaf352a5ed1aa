import type { Conversion } from '../../../domain/conversion.ts';
import type { QueueNames } from '../../../flow/announce.ts';
import type { PatientAnnouncer } from '../../../flow/patient-announcer.ts';
import type { Broker } from '../../../ports/broker.ts';
import type { ConversionStore } from '../../../ports/conversion-store.ts';
import type { FileStore } from '../../../ports/file-store.ts';
import type { Logger } from '../../../ports/logger.ts';

/** The gateway beside the sweeper, as it sees it. */
export interface FetchResumer {
  /**
   * Goes on with a fetch whose lease ran out before `now` (milliseconds since the epoch). False where it can't begin at
   * once, or another gateway was faster.
   */
  resume(conversion: Conversion, now: number): Promise<boolean>;
}

export interface SweeperDeps {
  readonly fetches: FetchResumer;
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
  /** After so many attempts a conversion whose converter died again, or a fetch whose gateway did, is failed. */
  readonly maxAttempts: number;
  /** How long an announcement is left to the one who owes it; 5,000 by default. */
  readonly unpublishedAfterMs?: number;
  /**
   * How long a converter may be silent after its lease ran out, and how long after an outage of the records no lease is
   * judged, since nobody could renew his; 15,000 by default.
   */
  readonly abandonedAfterMs?: number;
  /** The age at which a half-written file, a draft of an ended conversion, or a forgotten one, is nobody's. */
  readonly leftoverAgeMs: number;
  /** How long one step of a run may take, so that the others get their turn; 20,000 by default. */
  readonly stepMs?: number;
  /**
   * How long a record waits for its message to be taken until an empty queue means that the message is lost; 900,000 by
   * default.
   */
  readonly lostAfterMs?: number;
  /** The clock; Date.now by default. */
  readonly now?: () => number;
}

/** What one run did. */
export interface SweepReport {
  published: number;
  /** Messages that the broker had confirmed and no longer has. */
  lost: number;
  /** Uploads that nobody finishes. */
  removedUploads: number;
  failed: number;
  revived: number;
  resumedFetches: number;
  removedVideos: number;
  removedMp3s: number;
  removedDrafts: number;
  removedPartials: number;
}

/** What the steps of a run share. */
export interface SweepContext {
  readonly deps: SweeperDeps;
  readonly options: Required<SweeperOptions>;
  readonly announcer: PatientAnnouncer;
  /** Aborted by stop(); each step then ends after the records it is at. */
  readonly stopping: AbortSignal;
  /** Of the run that runs. */
  readonly report: SweepReport;
}
