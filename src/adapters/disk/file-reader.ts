import { open, stat, type FileHandle } from 'node:fs/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { rangeOf } from '../../ports/file-range.ts';
import type { ReadOptions } from '../../ports/file-store.ts';
import { asDiskWork, unlessMissing } from './disk-errors.ts';
import type { Folders } from './folders.ts';
import type { Growth } from './growth.ts';

const CHUNK_BYTES = 256 * 1024;

/** How soon a follower sees what another process has written. */
const POLL_MS = 100;

function checkRange(start: number, sizeBytes: number): void {
  // All of an empty file is nothing; that is no unsatisfiable range.
  if (start > 0 && start >= sizeBytes) throw new AudiowaveError('file.range-not-satisfiable');
}

/** Yields the bytes from `position` up to (not including) `end` or the end of the file. */
async function* readBetween(
  handle: FileHandle,
  position: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  while (position < end) {
    signal?.throwIfAborted();
    const at = position;
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at));
    const { bytesRead } = await asDiskWork(() => handle.read(buffer, 0, buffer.byteLength, at));
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Reads a whole file. The handle is open from the first step on, so that a removal does not take the bytes away. */
export async function* readWhole(
  folders: Folders,
  id: FileId,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal } = options;
  const { start, end } = rangeOf(options);
  const path = folders.wholePath(id);
  signal?.throwIfAborted();
  const handle = await unlessMissing(() => open(path, 'r'));
  if (handle === undefined) throw new AudiowaveError('file.unknown');
  try {
    const { size } = await asDiskWork(() => handle.stat());
    checkRange(start, size);
    yield* readBetween(handle, start, Math.min(end + 1, size), signal);
  } finally {
    await handle.close();
  }
}

/** Opens the file whether it is whole or not. */
async function openAny(folders: Folders, id: FileId): Promise<FileHandle> {
  const openWhole = (): Promise<FileHandle> => open(folders.wholePath(id), 'r');
  const handle =
    (await unlessMissing(openWhole)) ??
    (await unlessMissing(() => open(folders.partialPath(id), 'r'))) ??
    // It may have gone on, and become whole, between two looks.
    (await openCommitting(folders, id)) ??
    (await unlessMissing(openWhole));
  if (handle === undefined) throw new AudiowaveError('file.unknown');
  return handle;
}

async function openCommitting(folders: Folders, id: FileId): Promise<FileHandle | undefined> {
  for (const path of await folders.committingPaths(id)) {
    const handle = await unlessMissing(() => open(path, 'r'));
    if (handle !== undefined) return handle;
  }
  return undefined;
}

interface Look {
  readonly state: 'growing' | 'whole' | 'abandoned';
  readonly sizeBytes: number;
}

/**
 * What has become of an open file, told by the file itself, so that it holds for writers in other processes too.
 * The size is taken last: what is said to be whole has all its bytes.
 */
async function look(handle: FileHandle, wholePath: string): Promise<Look> {
  const whole = await unlessMissing(() => stat(wholePath, { bigint: true }));
  const mine = await asDiskWork(() => handle.stat({ bigint: true }));
  // Without the write bit it was committed, although it may have been removed since.
  const committed = whole?.ino === mine.ino || (mine.mode & 0o200n) === 0n;
  const state = committed ? 'whole' : mine.nlink === 0n ? 'abandoned' : 'growing';
  return { state, sizeBytes: Number(mine.size) };
}

/** Reads a file that may still be growing, until it is whole or `end` is reached. */
export async function* readFollowing(
  folders: Folders,
  growth: Growth,
  id: FileId,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal } = options;
  const { start, end } = rangeOf(options);
  const wholePath = folders.wholePath(id);
  signal?.throwIfAborted();
  const changes = growth.listen(id);
  let handle: FileHandle | undefined;
  try {
    handle = await openAny(folders, id);
    for (let position = start; ;) {
      const { state, sizeBytes } = await look(handle, wholePath);
      if (state === 'abandoned') throw new AudiowaveError('file.abandoned');
      if (state === 'whole') checkRange(start, sizeBytes);
      for await (const chunk of readBetween(handle, position, Math.min(end + 1, sizeBytes), signal)) {
        position += chunk.byteLength;
        yield chunk;
      }
      if (state === 'whole' || position > end) return;
      await changes.wait(POLL_MS, signal);
      signal?.throwIfAborted();
    }
  } finally {
    changes.stop();
    await handle?.close();
  }
}
