import { AudiowaveError, ERRORS, type ErrorCode } from './errors.ts';
import type { FileId } from './ids.ts';
import type { MessageBody } from './messages.ts';

/** The states of a conversion, in the order in which one lives. */
export const CONVERSION_STATES = [
  'uploading',
  'fetching',
  'queued',
  'converting',
  'ready',
  'failed',
  'cancelled',
] as const;

export type ConversionState = (typeof CONVERSION_STATES)[number];

/**
 * Which states may follow which. `queued → ready` is another implementation's converter at work, `failed → queued` an
 * operator who has mended what was wrong.
 */
export const LEGAL_MOVES: Readonly<Record<ConversionState, readonly ConversionState[]>> = {
  uploading: ['queued', 'cancelled'],
  fetching: ['queued', 'failed', 'cancelled'],
  queued: ['converting', 'ready', 'failed', 'cancelled'],
  converting: ['queued', 'ready', 'failed', 'cancelled'],
  ready: [],
  failed: ['queued'],
  cancelled: [],
};

const ENDED: ReadonlySet<ConversionState> = new Set(['ready', 'failed', 'cancelled']);

/** The announcements a conversion owes to a queue; the queue's name is configuration. */
export type Announcement = 'video' | 'mp3' | 'failed';

/** Why a conversion failed: a stable code, and a sentence for its owner. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Who works on a conversion, and until when the others leave it alone (milliseconds since the epoch). `holder` names
 * one attempt, not one process: a process that gets the same message twice must not take its own work for free.
 */
export interface Lease {
  readonly holder: string;
  readonly until: number;
}

/** A one-click link: only the SHA-256 (hex) of its random token is kept. */
export interface DownloadLink {
  readonly tokenHash: string;
  readonly expiresAt: number;
}

/** Where the video comes from; `foreign`: another implementation stored it and sent a message. */
export type Source =
  { readonly kind: 'upload' } | { readonly kind: 'url'; readonly url: string } | { readonly kind: 'foreign' };

/** The mail an ended conversion owes its owner; `refused` where no mail can ever reach the address. */
export type MailState = 'none' | 'due' | 'sent' | 'refused';

/**
 * The record from upload to mail. Immutable: the functions below return a changed copy, and the conversion-store
 * writes it only where nobody else has written in between. All times are milliseconds since the epoch.
 */
export interface Conversion {
  /** The FileId of the video, so that a message of another implementation finds or makes exactly one record. */
  readonly id: FileId;
  /** Raised by one with each write; 1 for a new record. */
  readonly version: number;
  /** E-mail address of the owner, as its token said it; compared through emailKey(). */
  readonly owner: string;
  readonly state: ConversionState;
  /** The name that the video had at its owner's, without folders; null where none is known. */
  readonly name: string | null;
  readonly source: Source;
  /** Size of the video; null until it is whole. */
  readonly videoBytes: number | null;
  /** Set in the same step that moves the conversion to `ready`. */
  readonly mp3Fid: FileId | null;
  /**
   * The MP3s that attempts have begun to write, the newest last. Whoever takes over or ends the conversion removes them,
   * and the sweeper once more some time after the end: an attempt that nobody has heard of for long may still have
   * finished its draft in between.
   */
  readonly drafts: readonly FileId[];
  readonly mp3Bytes: number | null;
  /** Length of the MP3's sound. */
  readonly durationMs: number | null;
  /** Share of the sound that is encoded, 0 to 1; null while nobody knows. */
  readonly progress: number | null;
  /** True where the video broke off and the MP3 holds only its beginning. */
  readonly incomplete: boolean;
  readonly failure: Failure | null;
  /** How often a converter has begun; while `fetching`, how many gateways died over it. */
  readonly attempts: number;
  readonly lease: Lease | null;
  /** Announcements that no broker has confirmed yet, each since when. The sweeper publishes what a crash left. */
  readonly unpublished: readonly { readonly announcement: Announcement; readonly since: number }[];
  readonly mail: MailState;
  /** Who sends the mail at the moment: of several processes one. */
  readonly mailLease: Lease | null;
  /** Fields of the `video` message that nobody here knows; they travel on with `mp3`. */
  readonly messageFields: MessageBody;
  readonly links: readonly DownloadLink[];
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** When retention removed the files; null while they are there. */
  readonly videoRemovedAt: number | null;
  readonly mp3RemovedAt: number | null;
}

/** What an encoder made of a video. */
export interface ConversionResult {
  readonly mp3Fid: FileId;
  readonly mp3Bytes: number | null;
  readonly durationMs: number | null;
  readonly incomplete: boolean;
}

/** What the owner of a conversion reads of an error: what failed, and what to do. */
export function failureOf(error: AudiowaveError): Failure {
  return { code: error.code, message: `${error.message} ${ERRORS[error.code].remedy}` };
}

export interface NewConversion {
  readonly id: FileId;
  readonly owner: string;
  readonly state: 'uploading' | 'fetching' | 'queued';
  readonly name: string | null;
  readonly source: Source;
  readonly lease: Lease | null;
  readonly now: number;
}

/** A new record, not stored yet. */
export function newConversion(fields: NewConversion): Conversion {
  const { now, ...rest } = fields;
  return {
    ...rest,
    version: 1,
    videoBytes: null,
    mp3Fid: null,
    drafts: [],
    mp3Bytes: null,
    durationMs: null,
    progress: null,
    incomplete: false,
    failure: null,
    attempts: 0,
    unpublished: [],
    mail: 'none',
    mailLease: null,
    messageFields: {},
    links: [],
    createdAt: now,
    updatedAt: now,
    startedAt: null,
    endedAt: null,
    videoRemovedAt: null,
    mp3RemovedAt: null,
  };
}

/** True for `ready`, `failed` and `cancelled`: nothing follows by itself. */
export function hasEnded({ state }: Conversion): boolean {
  return ENDED.has(state);
}

/** Throws `conversion.illegal-move` where `to` may not follow `from`; staying is always legal. */
export function checkMove(from: ConversionState, to: ConversionState): void {
  if (from !== to && !LEGAL_MOVES[from].includes(to)) {
    throw new AudiowaveError('conversion.illegal-move', `A conversion that is ${from} can't become ${to}.`);
  }
}

/** True where anybody's lease still runs. */
export function isLeased({ lease }: Conversion, now: number): boolean {
  return lease !== null && lease.until > now;
}

function holds(conversion: Conversion, holder: string): boolean {
  return conversion.lease?.holder === holder;
}

function owe(conversion: Conversion, announcement: Announcement, now: number): Conversion['unpublished'] {
  const others = conversion.unpublished.filter((entry) => entry.announcement !== announcement);
  return [...others, { announcement, since: now }];
}

// The functions below are the `change` of ConversionStore.update: they return the changed record, or undefined
// where the record is not (or no longer) the caller's to change, so that of two movers exactly one wins.

/** The video is whole: `uploading | fetching → queued`, and owes its `video` announcement. */
export function enqueue(
  c: Conversion,
  holder: string,
  video: { bytes: number; name: string | null },
  now: number,
): Conversion | undefined {
  if ((c.state !== 'uploading' && c.state !== 'fetching') || !holds(c, holder)) return undefined;
  return {
    ...c,
    state: 'queued',
    videoBytes: video.bytes,
    name: video.name ?? c.name,
    lease: null,
    // From here on converters are counted.
    attempts: 0,
    unpublished: owe(c, 'video', now),
    updatedAt: now,
  };
}

/**
 * The broker has confirmed an announcement that was owed since `since`. One that came to be owed later (its converter
 * died meanwhile) stays owed.
 */
export function markPublished(
  c: Conversion,
  announcement: Announcement,
  since = Infinity,
): Conversion | undefined {
  const unpublished = c.unpublished.filter(
    (entry) => entry.announcement !== announcement || entry.since > since,
  );
  return unpublished.length === c.unpublished.length ? undefined : { ...c, unpublished };
}

/**
 * A converter begins: `queued → converting`, or takes over where the lease has run out, whoever held it. The record goes
 * on naming the drafts of the attempts before: their files are still to be removed.
 */
export function claim(c: Conversion, lease: Lease, now: number): Conversion | undefined {
  const free = c.state === 'queued' || (c.state === 'converting' && !isLeased(c, now));
  if (!free) return undefined;
  return {
    ...c,
    state: 'converting',
    lease,
    attempts: c.attempts + 1,
    progress: null,
    // Its message has come, and stays with the broker until the attempt has ended.
    unpublished: c.unpublished.filter(({ announcement }) => announcement !== 'video'),
    startedAt: now,
    updatedAt: now,
  };
}

/** The most drafts a record names; each was removed when the next one was named. */
export const MAX_DRAFTS = 20;

/** The holder names the MP3 that it is about to write; undefined where the lease is another's. */
export function nameDraft(c: Conversion, holder: string, draft: FileId): Conversion | undefined {
  if (c.state !== 'converting' || !holds(c, holder)) return undefined;
  return { ...c, drafts: [...c.drafts, draft].slice(-MAX_DRAFTS) };
}

/** The holder is alive (and so far along); undefined where the lease was lost or the conversion was cancelled. */
export function renew(
  c: Conversion,
  lease: Lease,
  progress: number | null,
  now: number,
): Conversion | undefined {
  if (hasEnded(c) || !holds(c, lease.holder)) return undefined;
  return { ...c, lease, progress: progress ?? c.progress, updatedAt: now };
}

/** `converting → queued`: to be tried again. `counted: false` gives the attempt back (a drain, a dependency away). */
export function handBack(
  c: Conversion,
  holder: string,
  counted: boolean,
  now: number,
): Conversion | undefined {
  if (c.state !== 'converting' || !holds(c, holder)) return undefined;
  return {
    ...c,
    state: 'queued',
    lease: null,
    progress: null,
    attempts: counted ? c.attempts : Math.max(0, c.attempts - 1),
    updatedAt: now,
  };
}

/** A converter that died is not waited for: back to `queued`, and announced once more. */
export function reviveAbandoned(c: Conversion, now: number): Conversion | undefined {
  if (c.state !== 'converting' || c.lease === null || c.lease.until > now) return undefined;
  return {
    ...c,
    state: 'queued',
    lease: null,
    progress: null,
    unpublished: owe(c, 'video', now),
    updatedAt: now,
  };
}

/** `→ ready`, with the MP3's FileId in the same step; owes the `mp3` announcement and a mail. */
export function finish(
  c: Conversion,
  holder: string,
  result: ConversionResult,
  now: number,
): Conversion | undefined {
  if (c.state !== 'converting' || !holds(c, holder)) return undefined;
  return { ...becomeReady(c, result, now), unpublished: [{ announcement: 'mp3', since: now }] };
}

/**
 * Another implementation's converter did the work: `queued → ready`; its message has been published already. Also where
 * one of ours had begun and was not heard of any more.
 */
export function acceptForeign(c: Conversion, mp3Fid: FileId, now: number): Conversion | undefined {
  if (c.state !== 'queued' && (c.state !== 'converting' || isLeased(c, now))) return undefined;
  return becomeReady(c, { mp3Fid, mp3Bytes: null, durationMs: null, incomplete: false }, now);
}

function becomeReady(c: Conversion, result: ConversionResult, now: number): Conversion {
  return {
    ...c,
    ...result,
    state: 'ready',
    drafts: c.drafts.filter((draft) => draft !== result.mp3Fid),
    progress: 1,
    lease: null,
    // A `video` that is still owed would have the work done once more.
    unpublished: [],
    mail: 'due',
    updatedAt: now,
    endedAt: now,
  };
}

/**
 * `→ failed` with a reason; owes the `failed` announcement and a mail. Undefined where another holds it or it has
 * ended. `holder` null: by nobody who works on it (the sweeper, a dead letter), so only where no lease runs.
 */
export function fail(
  c: Conversion,
  holder: string | null,
  failure: Failure,
  now: number,
): Conversion | undefined {
  if (hasEnded(c) || c.state === 'uploading') return undefined;
  if (holder === null ? isLeased(c, now) : !holds(c, holder)) return undefined;
  return {
    ...c,
    state: 'failed',
    failure,
    lease: null,
    unpublished: [{ announcement: 'failed', since: now }],
    mail: 'due',
    updatedAt: now,
    endedAt: now,
  };
}

/** `→ cancelled`, by its owner; whoever works on it learns so when it renews its lease. Nothing is announced any more. */
export function cancel(c: Conversion, now: number): Conversion | undefined {
  if (hasEnded(c)) return undefined;
  return { ...c, state: 'cancelled', lease: null, unpublished: [], updatedAt: now, endedAt: now };
}

/** The most one-click links a record keeps; the oldest go first. */
export const MAX_LINKS = 20;

/** One more one-click link; expired ones go. Undefined where there is no MP3 (any more). */
export function addLink(c: Conversion, link: DownloadLink, now: number): Conversion | undefined {
  if (c.state !== 'ready' || c.mp3RemovedAt !== null) return undefined;
  const living = c.links.filter((entry) => entry.expiresAt > now);
  return { ...c, links: [...living, link].slice(-MAX_LINKS) };
}

/** A process begins to send the mail; undefined where none is due or another process is at it. */
export function claimMail(c: Conversion, lease: Lease, now: number): Conversion | undefined {
  if (c.mail !== 'due' || (c.mailLease !== null && c.mailLease.until > now)) return undefined;
  return { ...c, mailLease: lease };
}

/** The holder could not send it; whoever comes next may try at once. */
export function releaseMail(c: Conversion, holder: string): Conversion | undefined {
  return c.mailLease?.holder === holder ? { ...c, mailLease: null } : undefined;
}

/** The mail went out, never can, or is no longer owed since there is no MP3 to write about. */
export function settleMail(c: Conversion, mail: Exclude<MailState, 'due'>): Conversion | undefined {
  return c.mail === 'due' ? { ...c, mail, mailLease: null } : undefined;
}
