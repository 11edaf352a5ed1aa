import { randomUUID } from 'node:crypto';
import { claim, fail, failureOf, isLeased, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { parseFileId, type FileId } from '../../domain/ids.ts';
import type { MessageBody, VideoUploaded } from '../../domain/messages.ts';
import { adoptForeign } from '../../flow/adopt-foreign.ts';
import { announce, announcementId, announceOrLeave } from '../../flow/announce.ts';
import type { Verdict } from '../../ports/broker.ts';
import type { ConverterDeps, ConverterOptions } from './converter.ts';

/** Either the conversion is ours to do, claimed under our lease, or the message is answered already. */
export type Admission =
  | { readonly kind: 'claimed'; readonly conversion: Conversion }
  | { readonly kind: 'verdict'; readonly verdict: Verdict };

const DONE: Admission = { kind: 'verdict', verdict: { kind: 'done' } };

/** Finds (or makes, for another implementation's message) the record of a message and claims it. */
export async function admit(
  deps: ConverterDeps,
  options: ConverterOptions,
  message: VideoUploaded & MessageBody,
  messageId: string,
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
      return take(deps, options, conversion, unknownFields(message));
  }
}

/** What others put beside the wire fields; it travels on with `mp3`. */
function unknownFields(message: VideoUploaded & MessageBody): MessageBody {
  const { video_fid: _video, mp3_fid: _mp3, username: _owner, ...rest } = message;
  return rest;
}

/** A message that another implementation's gateway sent: the record is made here. */
async function adopt(
  deps: ConverterDeps,
  id: FileId,
  message: VideoUploaded & MessageBody,
): Promise<Conversion> {
  const file = await deps.videos.stat(id);
  await adoptForeign(deps.conversions, { id, owner: message.username, bytes: file?.sizeBytes ?? null });
  const stored = await deps.conversions.find(id);
  if (stored === undefined)
    throw new AudiowaveError('store.unavailable', undefined, { detail: 'a new record is not there' });
  return stored;
}

/** A crash may lie between record and announcement: what is still owed goes out now. */
async function repeatAnnouncement(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
): Promise<void> {
  for (const { announcement } of conversion.unpublished) {
    await announce({ ...deps, queues: options.queues }, conversion, announcement);
  }
}

async function take(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  fields: MessageBody,
): Promise<Admission> {
  const now = Date.now();
  if (isLeased(conversion, now)) {
    const leftMs = Math.max(options.renewMs, (conversion.lease?.until ?? now) - now);
    return waitUncounted('another converter is at work', leftMs);
  }
  if (conversion.attempts >= options.maxAttempts) return giveUp(deps, options, conversion);
  // Of its own for each attempt, so that a repeated message in the same process is another mover, too.
  const lease = { holder: `${options.holder}-${randomUUID()}`, until: now + options.leaseMs };
  const claimed = await deps.conversions.update(conversion.id, (current) => {
    const ours = claim(current, lease, now);
    return ours && { ...ours, messageFields: { ...ours.messageFields, ...fields } };
  });
  return claimed === undefined ? tooLate(options) : { kind: 'claimed', conversion: claimed };
}

/** What converters that died have left of MP3s. A store removes whole files only: one that is being written stays. */
async function removeDrafts(deps: ConverterDeps, { drafts }: Conversion): Promise<void> {
  for (const draft of drafts) await deps.mp3s.remove(draft);
}

async function giveUp(
  deps: ConverterDeps,
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
  await announceOrLeave({ ...deps, queues: options.queues }, failed, 'failed', deps.log);
  return { kind: 'verdict', verdict: { kind: 'reject', reason: failure.code } };
}

function tooLate(options: ConverterOptions): Admission {
  return waitUncounted('another converter was faster', options.renewMs);
}

function waitUncounted(reason: string, delayMs: number): Admission {
  return { kind: 'verdict', verdict: { kind: 'retry', reason, delayMs, counted: false } };
}
