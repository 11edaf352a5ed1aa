import {
  fail,
  failureOf,
  reviveAbandoned,
  type Conversion,
  type Failure,
} from '../../../domain/conversion.ts';
import { AudiowaveError } from '../../../domain/errors.ts';
import { wasBrokenOff } from '../../../domain/fetching.ts';
import { forget } from '../../../domain/forgotten.ts';
import { eachDue } from './each-due.ts';
import type { SweepContext } from './sweep-context.ts';

const FETCH_BROKEN_OFF = failureOf(
  new AudiowaveError('import.failed', 'Audiowave was interrupted each time it fetched the video.'),
);
const ABANDONED = failureOf(new AudiowaveError('conversion.abandoned'));

/** Puts right what a process left that died: an upload goes, a fetch or a conversion is tried again or has failed. */
export async function sweepLeases(context: SweepContext): Promise<void> {
  const now = context.options.now();
  await eachDue(
    context,
    (limit) => context.deps.conversions.leaseExpired(now, limit),
    (conversion) => sweepLease(context, conversion, now),
  );
}

async function sweepLease(context: SweepContext, conversion: Conversion, now: number): Promise<void> {
  const { state, lease } = conversion;
  if (state === 'uploading') await removeUpload(context, conversion, now);
  if (state === 'fetching') await repairFetching(context, conversion, now);
  const silentMs = now - (lease?.until ?? now);
  // The broker gives a dead converter's message to another one at once; that has the first go.
  if (state === 'converting' && silentMs >= context.options.abandonedAfterMs) {
    await repairConverting(context, conversion, now);
  }
}

/**
 * The record is forgotten first: an uploader that was only slow then finds that it is not its own, and keeps nothing.
 * Where that uploader makes its file whole and dies before it removes it, the record still names it.
 */
async function removeUpload({ deps, report }: SweepContext, { id }: Conversion, now: number): Promise<void> {
  const gone = await deps.conversions.update(id, (c) =>
    c.state === 'uploading' && c.lease !== null && c.lease.until < now ? forget(c, now) : undefined,
  );
  if (gone === undefined) return;
  report.removedUploads += 1;
  await deps.videos.remove(id);
}

async function repairFetching(context: SweepContext, conversion: Conversion, now: number): Promise<void> {
  const { deps, options, report } = context;
  if (conversion.attempts >= options.maxAttempts && wasBrokenOff(conversion)) {
    await failFetch(context, conversion, now);
  } else if (await deps.fetches.resume(conversion, now)) {
    report.resumedFetches += 1;
  }
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
  await context.announcer.announceOrLeave(revived, 'video', context.stopping);
}

async function failAbandoned(
  { deps, report, announcer, stopping }: SweepContext,
  { id, state }: Conversion,
  failure: Failure,
  now: number,
): Promise<Conversion | undefined> {
  const failed = await deps.conversions.update(id, (c) =>
    c.state === state ? fail(c, null, failure, now) : undefined,
  );
  if (failed === undefined) return undefined;
  report.failed += 1;
  await announcer.announceOrLeave(failed, 'failed', stopping);
  return failed;
}
