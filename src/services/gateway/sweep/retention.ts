import { eachDue, type SweepContext } from './sweep-context.ts';

/** Removes videos whose conversion ended long enough ago. The file goes first: a crash in between is repeated. */
export async function retireVideos({ deps, options, stopping, report }: SweepContext): Promise<void> {
  const now = options.now();
  await eachDue(
    stopping,
    (limit) => deps.conversions.retentionDue('video', now - options.sourceRetentionMs, limit),
    async ({ id }) => {
      await deps.videos.remove(id);
      await deps.conversions.update(id, (c) => ({ ...c, videoRemovedAt: now }));
      report.removedVideos += 1;
    },
  );
}

/** The same for MP3s, where they don't stay for ever. */
export async function retireMp3s({ deps, options, stopping, report }: SweepContext): Promise<void> {
  const { mp3RetentionMs } = options;
  if (mp3RetentionMs === null) return;
  const now = options.now();
  await eachDue(
    stopping,
    (limit) => deps.conversions.retentionDue('mp3', now - mp3RetentionMs, limit),
    async ({ id, mp3Fid }) => {
      if (mp3Fid !== null) await deps.mp3s.remove(mp3Fid);
      await deps.conversions.update(id, (c) => ({ ...c, mp3RemovedAt: now }));
      report.removedMp3s += 1;
    },
  );
}

/** Removes drafts that an attempt nobody has heard of for long may have finished after its conversion had ended. */
export async function removeDrafts({ deps, options, stopping, report }: SweepContext): Promise<void> {
  const before = options.now() - options.leftoverAgeMs;
  await eachDue(
    stopping,
    (limit) => deps.conversions.retentionDue('drafts', before, limit),
    async ({ id, drafts }) => {
      for (const draft of drafts) if (await deps.mp3s.remove(draft)) report.removedDrafts += 1;
      await deps.conversions.update(id, (c) => ({ ...c, drafts: [] }));
    },
  );
}

/** Removes half-written files that nobody writes any more. Whole files without a record are other implementations'. */
export async function removePartials({ deps, options, report }: SweepContext): Promise<void> {
  const olderThan = options.now() - options.leftoverAgeMs;
  report.removedPartials += await deps.videos.sweep(olderThan);
  report.removedPartials += await deps.mp3s.sweep(olderThan);
}
