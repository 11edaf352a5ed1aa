import {
  fail,
  failureOf,
  reviveAbandoned,
  type Conversion,
  type Failure,
} from '../../../domain/conversion.ts';
import { AudiowaveError, hasCode } from '../../../domain/errors.ts';
import { announceSoon } from './announcements.ts';
import { eachDue, type SweepContext } from './sweep-context.ts';

const TAKEOVER_MS = 60_000;

const FETCH_BROKEN_OFF = failureOf(
  new AudiowaveError('import.failed', 'Audiowave was interrupted while it fetched the video.'),
);
const ABANDONED = failureOf(new AudiowaveError('conversion.abandoned'));

/** Puts right what a process left that died: an upload goes, a fetch has failed, a conversion is tried again or has failed. */
export async function sweepLeases(context: SweepContext, holder: string): Promise<void> {
  const { deps, options, stopping } = context;
  const now = options.now();
  await eachDue(
    stopping,
    (limit) => deps.conversions.leaseExpired(now, limit),
    async (conversion) => {
      try {
        await sweepLease(context, conversion, holder, now);
      } catch (error) {
        if (hasCode(error, 'store.unavailable')) throw error;
        deps.log.warn({ err: error, conversionId: conversion.id }, 'not swept');
      }
    },
  );
}

async function sweepLease(
  context: SweepContext,
  conversion: Conversion,
  holder: string,
  now: number,
): Promise<void> {
  const { state, lease } = conversion;
  if (state === 'uploading') await removeUpload(context, conversion, holder, now);
  if (state === 'fetching') await failFetch(context, conversion, now);
  const silentMs = now - (lease?.until ?? now);
  // The broker gives a dead converter's message to another one at once; that has the first go.
  if (state === 'converting' && silentMs >= context.options.abandonedAfterMs) {
    await repairConverting(context, conversion, now);
  }
}

/** Takes the lease first: an uploader that was only slow then finds that the record is not its own, and keeps nothing. */
async function removeUpload(
  { deps, report }: SweepContext,
  { id }: Conversion,
  holder: string,
  now: number,
): Promise<void> {
  const lease = { holder, until: now + TAKEOVER_MS };
  const taken = await deps.conversions.update(id, (c) =>
    c.state === 'uploading' && c.lease !== null && c.lease.until < now ? { ...c, lease } : undefined,
  );
  if (taken === undefined) return;
  await deps.videos.remove(id);
  await deps.conversions.remove(id);
  report.removedUploads += 1;
}

async function failFetch(context: SweepContext, conversion: Conversion, now: number): Promise<void> {
  const failed = await failAbandoned(context, conversion, FETCH_BROKEN_OFF, now);
  if (failed !== undefined) await context.deps.videos.remove(conversion.id);
}

async function repairConverting(context: SweepContext, conversion: Conversion, now: number): Promise<void> {
  const { deps, options, report } = context;
  if (conversion.attempts >= options.maxAttempts) {
    const failed = await failAbandoned(context, conversion, ABANDONED, now);
    for (const draft of failed?.drafts ?? []) await deps.mp3s.remove(draft);
    return;
  }
  const revived = await deps.conversions.update(conversion.id, (c) => reviveAbandoned(c, now));
  if (revived === undefined) return;
  report.revived += 1;
  await announceSoon(context, revived, 'video');
}

async function failAbandoned(
  context: SweepContext,
  { id, state }: Conversion,
  failure: Failure,
  now: number,
): Promise<Conversion | undefined> {
  const failed = await context.deps.conversions.update(id, (c) =>
    c.state === state ? fail(c, null, failure, now) : undefined,
  );
  if (failed === undefined) return undefined;
  context.report.failed += 1;
  await announceSoon(context, failed, 'failed');
  return failed;
}
