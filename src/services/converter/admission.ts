import { randomUUID } from 'node:crypto';
import { claim, fail, failureOf, isLeased, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { parseFileId, type FileId } from '../../domain/ids.ts';
import type { MessageBody, VideoUploaded } from '../../domain/messages.ts';
import { parseEmail } from '../../domain/user.ts';
import { adoptForeign } from '../../flow/adopt-foreign.ts';
import { announce, announcementId } from '../../flow/announce.ts';
import { tryWhileAway } from '../../flow/while-away.ts';
import type { Delivery, Verdict } from '../../ports/broker.ts';
import type { Change } from '../../ports/conversion-store.ts';
import type { ConverterContext, ConverterOptions } from './converter.ts';

/** Either the conversion is ours to do, claimed under our lease, or the message is answered already. */
export type Admission =
  | { readonly kind: 'claimed'; readonly conversion: Conversion }
  | { readonly kind: 'verdict'; readonly verdict: Verdict };

const DONE: Admission = { kind: 'verdict', verdict: { kind: 'done' } };

/** Finds (or makes, for another implementation's message) the record of a message and claims it. */
export async function admit(
  deps: ConverterContext,
  options: ConverterOptions,
  message: VideoUploaded & MessageBody,
  { messageId, signal }: Pick<Delivery, 'messageId' | 'signal'>,
): Promise<Admission> {
  const id = parseFileId(message.video_fid);
  if (id === undefined) throw new AudiowaveError('broker.malformed-message');
  const existing = await deps.conversions.find(id);
  // Announced by us, and its record is gone: the owner has removed it meanwhile.
  if (existing === undefined && messageId === announcementId('video', id)) return DONE;
  const conversion = existing ?? (await adopt(deps, id, message));
  switch (conversion.state) {
    case 'ready':
    case 'failed':
      await repeatAnnouncement(deps, options, conversion);
      return DONE;
    case 'cancelled':
      await removeDrafts(deps, conversion);
      return DONE;
    case 'uploading':
    case 'fetching':
      // The message overtook its own record; the store's next read shows it queued.
      return waitUncounted('the upload is not whole yet', options.renewMs);
    case 'queued':
    case 'converting':
      return take(deps, options, conversion, { fields: unknownFields(message), stopping: signal });
  }
}

/** What others put beside the wire fields; it travels on with `mp3`. */
function unknownFields(message: VideoUploaded & MessageBody): MessageBody {
  const { video_fid: _video, mp3_fid: _mp3, username: _owner, ...rest } = message;
  return rest;
}

/**
 * A message that another implementation's gateway sent: the record is made here. Where nobody can be told of its end
 * (`broker.malformed-message`) or there is no such file (`file.unknown`), it becomes a dead letter and leaves no record:
 * its gateway stores the file before it sends the message, and a replay, once the file is there, starts from nothing.
 */
async function adopt(
  deps: ConverterContext,
  id: FileId,
  message: VideoUploaded & MessageBody,
): Promise<Conversion> {
  const owner = ownerOf(message);
  const file = await deps.videos.stat(id);
  if (file === undefined) {
    throw new AudiowaveError('file.unknown', undefined, { detail: `no video ${id} in the store` });
  }
  await adoptForeign(deps.conversions, { id, owner, bytes: file.sizeBytes });
  const stored = await deps.conversions.find(id);
  if (stored === undefined)
    throw new AudiowaveError('store.unavailable', undefined, { detail: 'a new record is not there' });
  return stored;
}

function ownerOf({ username }: VideoUploaded): string {
  try {
    return parseEmail(username);
  } catch (cause) {
    const detail = '/username is no e-mail address';
    throw new AudiowaveError('broker.malformed-message', undefined, { cause, detail });
  }
}

/** A crash may lie between record and announcement: what is still owed goes out now. */
async function repeatAnnouncement(
  deps: ConverterContext,
  options: ConverterOptions,
  conversion: Conversion,
): Promise<void> {
  for (const { announcement } of conversion.unpublished) {
    await announce({ ...deps, queues: options.queues }, conversion, announcement);
  }
}

async function take(
  deps: ConverterContext,
  options: ConverterOptions,
  conversion: Conversion,
  { fields, stopping }: { readonly fields: MessageBody; readonly stopping: AbortSignal },
): Promise<Admission> {
  const now = Date.now();
  if (isLeased(conversion, now)) {
    const leftMs = Math.max(options.renewMs, (conversion.lease?.until ?? now) - now);
    return waitUncounted('another converter is at work', leftMs);
  }
  if (conversion.attempts >= options.maxAttempts) return giveUp(deps, options, conversion);
  // Of its own for each attempt, so that a repeated message in the same process is another mover, too.
  const holder = `${options.holder}-${randomUUID()}`;
  const change: Change = (current) => {
    // Claimed already, where the answer to the same write got lost.
    if (current.lease?.holder === holder) return current;
    const begun = Date.now();
    const ours = claim(current, { holder, until: begun + options.leaseMs }, begun);
    return ours && { ...ours, messageFields: { ...ours.messageFields, ...fields } };
  };
  // A claim that nobody knows of would count as an attempt that died.
  const claimed = await tryWhileAway(() => deps.conversions.update(conversion.id, change), {
    everyMs: options.renewMs,
    until: now + options.leaseMs,
    signal: stopping,
    onAway: (error) => {
      deps.log.warn({ err: error, conversionId: conversion.id }, 'not claimed; trying again');
    },
  });
  return claimed === undefined ? tooLate(options) : { kind: 'claimed', conversion: claimed };
}

/**
 * What converters that died have left of MP3s. A store removes whole files only: one that is being written stays, and so
 * do those that it can't remove now. The record goes on naming them for the sweeper.
 */
async function removeDrafts(deps: ConverterContext, { id, drafts }: Conversion): Promise<void> {
  try {
    for (const draft of drafts) await deps.mp3s.remove(draft);
  } catch (error) {
    deps.log.warn({ err: error, conversionId: id }, 'drafts left to the sweeper');
  }
}

async function giveUp(
  deps: ConverterContext,
  options: ConverterOptions,
  conversion: Conversion,
): Promise<Admission> {
  const failure = failureOf(new AudiowaveError('conversion.abandoned'));
  const failed = await deps.conversions.update(conversion.id, (current) =>
    fail(current, null, failure, Date.now()),
  );
  if (failed === undefined) return tooLate(options);
  await removeDrafts(deps, failed);
  deps.log.error(
    { conversionId: conversion.id, attempts: conversion.attempts, code: failure.code },
    'conversion given up',
  );
  await deps.announcer.announceOrLeave(failed, 'failed');
  return { kind: 'verdict', verdict: { kind: 'reject', reason: failure.code } };
}

function tooLate(options: ConverterOptions): Admission {
  return waitUncounted('another converter was faster', options.renewMs);
}

function waitUncounted(reason: string, delayMs: number): Admission {
  return { kind: 'verdict', verdict: { kind: 'retry', reason, delayMs, counted: false } };
}
