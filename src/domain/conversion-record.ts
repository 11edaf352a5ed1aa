import { checkMove, type Announcement, type Conversion } from './conversion.ts';
import { AudiowaveError } from './errors.ts';
import { isForgotten } from './forgotten.ts';

/**
 * What a store writes for a change: the changed record with the next version, or undefined where nothing changes.
 * The id and the time of creation stay, whatever `change` says. Throws `conversion.illegal-move`.
 */
export function nextVersion(
  current: Conversion,
  change: (current: Conversion) => Conversion | undefined,
): Conversion | undefined {
  const changed = change(current);
  if (changed === undefined) return undefined;
  checkMove(current.state, changed.state);
  return { ...changed, id: current.id, createdAt: current.createdAt, version: current.version + 1 };
}

/** The times by which the sweeper looks for records; each in milliseconds since the epoch, null where it does not apply. */
export interface SweepKeys {
  readonly leaseUntil: number | null;
  /** Since when the longest waiting announcement is unpublished. */
  readonly unpublishedSince: number | null;
  /** When a conversion ended whose video is still kept. */
  readonly videoKeptSince: number | null;
  /** When a conversion ended whose MP3 is still kept. */
  readonly mp3KeptSince: number | null;
  /** When a conversion ended whose record still names drafts, is forgotten, or may have a video that it does not know of. */
  readonly draftsNamedSince: number | null;
  /** Since when a conversion waits for a converter to take its message. */
  readonly queuedSince: number | null;
  /** Since when a mail waits for a notification process to take its message. */
  readonly mailDueSince: number | null;
}

/** The message that alone carries the record on: it was announced, and whoever takes it says so in the record. */
export function awaitedMessage(c: Conversion): Announcement | undefined {
  if (c.unpublished.length > 0) return undefined;
  if (c.state === 'queued') return 'video';
  if (c.mail !== 'due' || isForgotten(c)) return undefined;
  if (c.state === 'ready') return 'mp3';
  return c.state === 'failed' ? 'failed' : undefined;
}

/** True where our upload or fetch was given up before its video was known to be whole: it may have become so afterwards. */
export function mayHaveUnknownVideo(c: Conversion): boolean {
  const isGivenUp = c.state === 'failed' || c.state === 'cancelled';
  return isGivenUp && c.source.kind !== 'foreign' && c.videoBytes === null && c.videoRemovedAt === null;
}

/** The sweep keys of a record. Every store finds records by these, so that all stores agree. */
export function sweepKeys(c: Conversion): SweepKeys {
  const awaited = awaitedMessage(c);
  return {
    leaseUntil: c.lease?.until ?? null,
    unpublishedSince:
      c.unpublished.length === 0 ? null : Math.min(...c.unpublished.map((entry) => entry.since)),
    videoKeptSince: c.videoRemovedAt === null ? c.endedAt : null,
    mp3KeptSince: c.mp3Fid !== null && c.mp3RemovedAt === null ? c.endedAt : null,
    queuedSince: awaited === 'video' ? c.updatedAt : null,
    mailDueSince: awaited === 'mp3' || awaited === 'failed' ? c.updatedAt : null,
    draftsNamedSince: c.drafts.length > 0 || isForgotten(c) || mayHaveUnknownVideo(c) ? c.endedAt : null,
  };
}

/** The most records on one page of a list. */
const MAX_PAGE = 100;

/** Throws `request.malformed` unless `limit` is a whole number from 1 to {@link MAX_PAGE}. */
export function checkPageLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new AudiowaveError(
      'request.malformed',
      `limit must be a whole number from 1 to ${String(MAX_PAGE)}.`,
    );
  }
}
