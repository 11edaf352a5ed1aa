import { cancel, hasEnded, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { forget } from '../../domain/forgotten.ts';
import type { Edge } from './edge.ts';

/**
 * DELETE: a running conversion becomes `cancelled` and its video goes; one that has ended goes with its files. Whoever
 * works on it learns so when it renews its lease, at once where it is this process, and removes what it was writing.
 */
export async function removeConversion(edge: Edge, conversion: Conversion): Promise<void> {
  const { conversions } = edge.deps;
  const cancelled = await conversions.update(conversion.id, (c) => cancel(c, Date.now()));
  if (cancelled !== undefined) {
    await cleanUpCancelled(edge, cancelled);
    return;
  }
  const current = await conversions.find(conversion.id);
  if (current !== undefined && hasEnded(current)) await removeEnded(edge, current);
}

async function cleanUpCancelled({ deps, work }: Edge, conversion: Conversion): Promise<void> {
  work.abort(conversion.id, new AudiowaveError('audio.cancelled', 'The upload was cancelled.'));
  // Readers that have begun keep their bytes; an upload that still writes removes its own.
  if (!(await deps.videos.remove(conversion.id))) return;
  await deps.conversions.update(conversion.id, (c) => ({ ...c, videoRemovedAt: Date.now() }));
}

// The record goes last: a crash on the way leaves it, and the same call finishes the work.
async function removeEnded({ deps }: Edge, conversion: Conversion): Promise<void> {
  if (conversion.mp3Fid !== null) await deps.mp3s.remove(conversion.mp3Fid);
  for (const draft of conversion.drafts) await deps.mp3s.remove(draft);
  await deps.videos.remove(conversion.id);
  if (mayYetLeaveFiles(conversion))
    await deps.conversions.update(conversion.id, (c) => forget(c, Date.now()));
  else await deps.conversions.remove(conversion.id);
}

/** A process that does not know yet that this has ended may make its video or a draft whole. */
function mayYetLeaveFiles({ state, drafts }: Conversion): boolean {
  return state === 'cancelled' || drafts.length > 0;
}
