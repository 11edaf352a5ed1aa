import type { ObjectId } from 'mongodb';
import { parseFileId } from '../../domain/ids.ts';
import type { FileBucket } from './file-bucket.ts';
import { writerOf, type Leftover, type MarkDocument } from './file-documents.ts';
import type { WriterKeeper } from './file-keeper.ts';
import type { FileMarks } from './file-marks.ts';

/** A commit that began less than this ago is left alone: it takes moments where its process lives (`file-writer.ts`). */
export const COMMIT_MS = 15_000;
const MARKS_AT_ONCE = 200;

export interface SweepParts {
  readonly bucket: FileBucket;
  readonly marks: FileMarks;
  readonly keeper: WriterKeeper;
}

/** Removes what writers that nobody has heard of since `olderThan` have left, and what was removed before it. Says how many writers. */
export async function sweepMarks(parts: SweepParts, olderThan: number): Promise<number> {
  let swept = 0;
  let after: ObjectId | undefined;
  for (;;) {
    const marks = await parts.marks.after(after, MARKS_AT_ONCE);
    for (const mark of marks) {
      if (await sweepWriter(parts, mark, olderThan)) swept += 1;
      await sweepLeftovers(parts, mark, olderThan);
    }
    after = marks.at(-1)?._id;
    if (after === undefined) return swept;
  }
}

/** True where a half-written file was removed. What its writer may still send is left for a later sweep. */
async function sweepWriter(parts: SweepParts, mark: MarkDocument, olderThan: number): Promise<boolean> {
  const { bucket, marks, keeper } = parts;
  const { _id: id, writer, touchedAt } = mark;
  if (writer === undefined || touchedAt === undefined || touchedAt.getTime() >= olderThan) return false;
  // A writer of this process is alive, however slow its source is; it ends its file itself.
  const fileId = parseFileId(id.toHexString());
  if (fileId !== undefined && keeper.writerOf(fileId)?.writing.writer === writer) return false;
  if (mark.file !== undefined) {
    const there = await bucket.findFile(id);
    if (there !== undefined && writerOf(there) === writer) {
      await marks.release({ id, writer });
      return false;
    }
    if (touchedAt.getTime() >= Date.now() - COMMIT_MS) return false;
  }
  if (!(await marks.disown({ id, writer }, touchedAt))) return false;
  await bucket.deleteAllChunks(id, writer);
  return true;
}

/** Sweeps what was left over before `olderThan`: its readers have had their time, and its writers are dead for sure. */
async function sweepLeftovers(parts: SweepParts, mark: MarkDocument, olderThan: number): Promise<void> {
  const { bucket, marks } = parts;
  const { _id: id, leftovers = [] } = mark;
  for (const leftover of leftovers) {
    if (leftover.since.getTime() >= olderThan) continue;
    // Its removal may have broken off, or its commit come late.
    await bucket.deleteFile(id, leftover.writer);
    await deleteLeftChunks(bucket, id, leftover);
    await marks.settle(id, leftover.writer);
  }
  if (mark.writer === undefined && leftovers.length === 0) await marks.settle(id, null);
}

/** Chunks of another implementation's file name no writer; nobody of ours writes under its id before this is done. */
export async function deleteLeftChunks(bucket: FileBucket, id: ObjectId, leftover: Leftover): Promise<void> {
  const { writer, file } = leftover;
  if (writer === null || file === undefined) await bucket.deleteAllChunks(id, writer);
  else await bucket.deleteChunks(writer, Math.ceil(file.length / file.chunkSize));
}
