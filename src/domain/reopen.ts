import { awaitedMessage } from './conversion-record.ts';
import type { Conversion } from './conversion.ts';

/**
 * `failed → queued`, by an operator who has mended what was wrong: as if no converter had begun, and the owner gets
 * another mail for the new end. Owes its `video` announcement. Undefined where it has not failed, where nobody has it
 * any more, or where its video was removed.
 */
export function reopen(c: Conversion, now: number): Conversion | undefined {
  // A failure without a reason is one whose owner has removed the record.
  if (c.state !== 'failed' || c.failure === null || c.videoRemovedAt !== null) return undefined;
  return {
    ...c,
    state: 'queued',
    failure: null,
    attempts: 0,
    progress: null,
    mail: 'none',
    mailLease: null,
    unpublished: [{ announcement: 'video', since: now }],
    startedAt: null,
    endedAt: null,
    updatedAt: now,
  };
}

/** The mail that was given up is owed again, and with it the announcement that has it sent; undefined where none was. */
export function oweMailAgain(c: Conversion, now: number): Conversion | undefined {
  if (c.mail !== 'refused' || (c.state !== 'ready' && c.state !== 'failed')) return undefined;
  const announcement = c.state === 'ready' ? 'mp3' : 'failed';
  return { ...c, mail: 'due', mailLease: null, unpublished: [{ announcement, since: now }] };
}

/**
 * The message that the record waits for is owed once more: the broker has confirmed it and no longer has it. Undefined
 * where the record waits for none, or was written since `before`.
 */
export function oweLostMessage(c: Conversion, before: number, now: number): Conversion | undefined {
  const announcement = awaitedMessage(c);
  if (announcement === undefined || c.updatedAt >= before) return undefined;
  return { ...c, unpublished: [{ announcement, since: now }], updatedAt: now };
}
