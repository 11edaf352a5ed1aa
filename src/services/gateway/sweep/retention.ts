import { mayHaveUnknownVideo } from '../../../domain/conversion-record.ts';
import type { Conversion } from '../../../domain/conversion.ts';
import { isForgotten } from '../../../domain/forgotten.ts';
import { eachDue } from './each-due.ts';
import type { SweepContext } from './sweep-context.ts';

/** Removes videos whose conversion ended long enough ago. The file goes first: a crash in between is repeated. */
export async function retireVideos(context: SweepContext): Promise<void> {
  const { deps, options, report } = context;
  const now = options.now();
  await eachDue(
    context,
    (limit) => deps.conversions.retentionDue('video', now - options.sourceRetentionMs, limit),
    async ({ id }) => {
      await deps.videos.remove(id);
      await deps.conversions.update(id, (c) => ({ ...c, videoRemovedAt: now }));
      report.removedVideos += 1;
    },
  );
}

/** The same for MP3s, where they don't stay for ever. */
export async function retireMp3s(context: SweepContext): Promise<void> {
  const { deps, options, report } = context;
  const { mp3RetentionMs } = options;
  if (mp3RetentionMs === null) return;
  const now = options.now();
  await eachDue(
    context,
    (limit) => deps.conversions.retentionDue('mp3', now - mp3RetentionMs, limit),
    async ({ id, mp3Fid }) => {
      if (mp3Fid !== null) await deps.mp3s.remove(mp3Fid);
      await deps.conversions.update(id, (c) => ({ ...c, mp3RemovedAt: now }));
      report.removedMp3s += 1;
    },
  );
}

/**
 * Removes what a process that nobody has heard of for long may have made whole after its conversion had ended: drafts,
 * and, where the conversion is forgotten, its video and the record itself.
 */
export async function removeLeftovers(context: SweepContext): Promise<void> {
  const { deps, options } = context;
  const before = options.now() - options.leftoverAgeMs;
  await eachDue(
    context,
    (limit) => deps.conversions.retentionDue('drafts', before, limit),
    async (conversion) => {
      await removeDrafts(context, conversion);
      if (isForgotten(conversion)) await removeForgotten(context, conversion);
      else await clearRecord(context, conversion);
    },
  );
}

async function removeDrafts({ deps, report }: SweepContext, { drafts }: Conversion): Promise<void> {
  for (const draft of drafts) if (await deps.mp3s.remove(draft)) report.removedDrafts += 1;
}

async function removeForgotten({ deps }: SweepContext, { id, mp3Fid }: Conversion): Promise<void> {
  if (mp3Fid !== null) await deps.mp3s.remove(mp3Fid);
  await deps.videos.remove(id);
  await deps.conversions.remove(id);
}

async function clearRecord({ deps, options }: SweepContext, { id, drafts }: Conversion): Promise<void> {
  const current = await deps.conversions.find(id);
  if (current !== undefined && mayHaveUnknownVideo(current)) await deps.videos.remove(id);
  await deps.conversions.update(id, (c) => ({
    ...c,
    drafts: c.drafts.filter((draft) => !drafts.includes(draft)),
    videoRemovedAt: mayHaveUnknownVideo(c) ? options.now() : c.videoRemovedAt,
  }));
}

/** Removes half-written files that nobody writes any more. Whole files without a record are other implementations'. */
export async function removePartials({ deps, options, report }: SweepContext): Promise<void> {
  const olderThan = options.now() - options.leftoverAgeMs;
  report.removedPartials += await deps.videos.sweep(olderThan);
  report.removedPartials += await deps.mp3s.sweep(olderThan);
}
