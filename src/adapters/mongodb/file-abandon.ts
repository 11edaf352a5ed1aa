import type { ObjectId } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { writerOf } from './file-documents.ts';
import { COMMIT_MS, type SweepParts } from './file-sweep.ts';

/** How soon a file that is being committed is looked at again. */
const LOOK_MS = 200;

/**
 * Takes a file away from whoever writes it. A writer that has begun to commit can't be stopped any more: it is waited for
 * until its file is whole, or as long as a commit takes where its process lives (`file-writer.ts` makes sure of that).
 */
export async function abandonWriter({ bucket, marks, keeper }: SweepParts, id: ObjectId): Promise<void> {
  for (;;) {
    const mark = await marks.find(id);
    if (mark?.writer === undefined || mark.touchedAt === undefined) return;
    const { writer, touchedAt } = mark;
    if (mark.file !== undefined) {
      const there = await bucket.findFile(id);
      if (there !== undefined && writerOf(there) === writer) {
        await marks.release({ id, writer });
        return;
      }
      if (touchedAt.getTime() >= Date.now() - COMMIT_MS) {
        await delay(LOOK_MS);
        continue;
      }
    }
    // Where it has begun to commit, or said that it lives, since the look, that is looked at first.
    if (!(await marks.disown({ id, writer }, touchedAt))) continue;
    keeper.forget(writer);
    return;
  }
}
