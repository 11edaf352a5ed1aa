import { randomBytes, randomInt } from 'node:crypto';
import { ObjectId, type Binary } from 'mongodb';
import { assertFileId, type FileId } from '../../domain/ids.ts';

/** The chunk size of the family's files, and of drivers that are not told another (GridFS specification, "chunkSizeBytes"). */
export const CHUNK_BYTES = 261_120;

/** A document of `fs.files` (GridFS specification, "files collection document"). It is what makes a file visible. */
export interface FileDocument {
  readonly _id: ObjectId;
  readonly length: number;
  readonly chunkSize: number;
  readonly uploadDate: Date;
  /** Ours; files of other implementations have none. */
  readonly metadata?: { readonly audiowaveWriter?: WriterId } | null;
}

/** A document of `fs.chunks` (GridFS specification, "chunks collection document"). */
export interface ChunkDocument {
  readonly _id: ObjectId;
  readonly files_id: ObjectId;
  readonly n: number;
  readonly data: Binary;
}

/** What a writer that is gone, or a file that was removed, may have left in `fs.chunks`. */
export interface Leftover {
  /** Whose bytes they are; null for those of another implementation's file, which name no writer. */
  readonly writer: WriterId | null;
  /** Since when nobody may begin to read them. */
  readonly since: Date;
  /** The file that they were; absent where they never were a whole one. */
  readonly file?: FileDocument;
}

/**
 * A document of `fs.marks`, our own collection beside the bucket: a file that is being written, or chunks that are to
 * go. What is whole, and was always so, has none.
 */
export interface MarkDocument {
  readonly _id: ObjectId;
  /** Who writes the file. */
  readonly writer?: WriterId;
  /** When the writer was last heard of. */
  readonly touchedAt?: Date;
  /** Counts up while somebody in another process wants to follow. */
  readonly follows?: number;
  /** The writer has begun to commit this. */
  readonly file?: FileDocument;
  readonly leftovers?: Leftover[];
}

/** Names one attempt to write one file: 18 hex digits, the beginning of the `_id` of each of its chunks. */
export type WriterId = string & { readonly __brand: 'WriterId' };

const process3 = randomBytes(3).toString('hex');
let counter = randomInt(0x10000);

/**
 * A new one: 4 bytes of seconds, 3 random bytes of this process, 2 bytes of counter; the last 3 bytes of the ObjectId
 * are the chunk's number.
 */
export function mintWriterId(): WriterId {
  counter = (counter + 1) % 0x10000;
  const seconds = Math.floor(Date.now() / 1000)
    .toString(16)
    .padStart(8, '0')
    .slice(-8);
  return (seconds + process3 + counter.toString(16).padStart(4, '0')) as WriterId;
}

/** As many as the numbers of a chunk's `_id` reach; 4 TiB. */
export const MOST_CHUNKS = 0x1000000;

/** The `_id` of a writer's chunk. Known before the write, so that a repeated insert is known to be a repetition. */
export function chunkIdOf(writer: WriterId, n: number): ObjectId {
  return new ObjectId(writer + n.toString(16).padStart(6, '0'));
}

/** True where `writer` wrote the chunk of this `_id`. */
export function isChunkOf(writer: WriterId, chunkId: ObjectId): boolean {
  return chunkId.toHexString().startsWith(writer);
}

/** Whose bytes a file's are; null for files of other implementations. */
export function writerOf(file: FileDocument): WriterId | null {
  return file.metadata?.audiowaveWriter ?? null;
}

/** The ObjectId of `id`; a TypeError where that is no FileId. */
export function objectIdOf(id: FileId): ObjectId {
  assertFileId(id);
  return new ObjectId(id);
}
