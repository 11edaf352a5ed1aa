import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { rangeOf } from '../../ports/file-range.ts';
import type { ReadOptions } from '../../ports/file-store.ts';
import type { FileBucket } from './file-bucket.ts';
import { isChunkOf, objectIdOf, writerOf, type FileDocument } from './file-documents.ts';
import { bridgeOutage } from './file-outage.ts';

/** Bytes that a reader fetches before they are asked for, in whole chunks, one at least. */
const AHEAD_BYTES = 1024 * 1024;

/** A chunk of a GridFS file is one document, of at most 16 MiB. */
const MOST_CHUNK_BYTES = 16 * 1024 * 1024;

/** Reads a whole file. */
export async function* readWhole(
  bucket: FileBucket,
  id: FileId,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal } = options;
  const { start, end } = rangeOf(options);
  const objectId = objectIdOf(id);
  signal?.throwIfAborted();
  const file = await bucket.findFile(objectId);
  if (file === undefined) throw new AudiowaveError('file.unknown');
  checkRange(start, file.length);
  yield* readBetween(bucket, file, start, Math.min(end + 1, file.length), signal);
}

export function checkRange(start: number, sizeBytes: number): void {
  // All of an empty file is nothing; that is no unsatisfiable range.
  if (start > 0 && start >= sizeBytes) throw new AudiowaveError('file.range-not-satisfiable');
}

/**
 * Yields the bytes from `from` up to (not including) `to` of a whole file. Each chunk is a query of its own: a cursor would
 * not outlive a reader that pauses for ten minutes, nor a restart of the server.
 */
export async function* readBetween(
  bucket: FileBucket,
  file: FileDocument,
  from: number,
  to: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkFile(file);
  if (from >= to) return;
  const { chunkSize } = file;
  const first = Math.floor(from / chunkSize);
  const last = Math.floor((to - 1) / chunkSize);
  const most = Math.max(1, Math.floor(AHEAD_BYTES / chunkSize));
  let isWanted = true;
  const ahead: Promise<Uint8Array>[] = [];
  try {
    for (let n = first, next = first; n <= last; n += 1) {
      // Readers that stop early have not fetched much; those that go on soon have the line to themselves.
      const depth = Math.min(most, n - first + 1);
      for (; next <= last && ahead.length < depth; next += 1) {
        const chunk = fetchChunk(bucket, file, next, () => isWanted && signal?.aborted !== true);
        // Its turn may never come.
        chunk.catch(() => undefined);
        ahead.push(chunk);
      }
      const data = await ahead.shift();
      signal?.throwIfAborted();
      const at = n * chunkSize;
      if (data !== undefined) yield data.subarray(Math.max(0, from - at), Math.min(data.byteLength, to - at));
    }
  } finally {
    isWanted = false;
  }
}

/** Other programs may have written anything. */
function checkFile({ _id, length, chunkSize }: FileDocument): void {
  const isPossible =
    Number.isSafeInteger(length) &&
    length >= 0 &&
    Number.isSafeInteger(chunkSize) &&
    chunkSize > 0 &&
    chunkSize <= MOST_CHUNK_BYTES;
  if (!isPossible) throw damaged(`fs.files holds no possible length and chunkSize for ${_id.toHexString()}`);
}

async function fetchChunk(
  bucket: FileBucket,
  file: FileDocument,
  n: number,
  isWanted: () => boolean,
): Promise<Uint8Array> {
  const chunk = await bridgeOutage(() => bucket.findChunk(file._id, n), isWanted);
  const writer = writerOf(file);
  if (chunk === null || (writer !== null && !isChunkOf(writer, chunk._id))) {
    throw await whyMissing(bucket, file, n);
  }
  const bytes = chunk.data.value();
  const expected = Math.min(file.chunkSize, file.length - n * file.chunkSize);
  if (bytes.byteLength !== expected) {
    throw damaged(`chunk ${String(n)} of ${file._id.toHexString()} holds ${String(bytes.byteLength)} bytes`);
  }
  return bytes;
}

/** Its file was removed so long ago that the chunk was swept, or somebody took the chunk away. */
async function whyMissing(bucket: FileBucket, file: FileDocument, n: number): Promise<AudiowaveError> {
  const now = await bucket.findFile(file._id);
  if (now === undefined || writerOf(now) !== writerOf(file)) return new AudiowaveError('file.unknown');
  return damaged(`chunk ${String(n)} of ${file._id.toHexString()} is missing`);
}

/** No matter of the store being away: trying again does not help, and attempts must be counted. */
function damaged(detail: string): AudiowaveError {
  return new AudiowaveError('internal.error', 'The stored file is damaged.', { detail });
}
