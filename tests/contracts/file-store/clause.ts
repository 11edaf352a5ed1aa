import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { hasCode, type ErrorCode } from '../../../src/domain/errors.ts';
import type { FileId } from '../../../src/domain/ids.ts';
import { storeAll } from '../../support/store-all.ts';
import type { FileInfo, FileStore } from '../../../src/ports/file-store.ts';
import { collect, pieces, streamed } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';

/** One store on fresh data. */
export interface OpenedFileStore {
  readonly store: FileStore;
  /** A second store on the same data, as another process would open it. */
  readonly again?: () => Promise<FileStore>;
  /** Writes some of a file in a process that is then killed; leaves a half-written file of that id behind. */
  readonly crashWhileWriting?: (id: FileId) => Promise<void>;
}

/** Why an adapter is let off a promise. */
export interface FileStoreExcuses {
  /** Nothing outlives the process: `again` and `crashWhileWriting` do not exist. */
  readonly onlyInThisProcess?: string;
  /** Everything is kept in memory, so memory grows with the files. */
  readonly memoryGrows?: string;
}

export const KiB = 1024;
/** The chunk of a GridFS bucket, where reads are stitched together. */
export const GRID_CHUNK = 255 * KiB;

/** One promise of the port: its words, and a test of it on a fresh store. */
export type Clause = (
  title: string,
  body: (opened: OpenedFileStore, t: TestContext) => Promise<void>,
) => void;

export function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  };
}

export function put(store: FileStore, id: FileId, bytes: Uint8Array): Promise<FileInfo> {
  return storeAll(store, id, streamed(pieces(bytes, 60_000)));
}

export async function ids(store: FileStore): Promise<string[]> {
  const found: string[] = [];
  for await (const info of store.list()) found.push(info.id);
  return found.sort();
}

export async function assertNothing(store: FileStore, id: FileId): Promise<void> {
  assert.equal(await store.stat(id), undefined);
  await assert.rejects(collect(store.read(id)), failsWith('file.unknown'));
  await assert.rejects(collect(store.read(id, { follow: true })), failsWith('file.unknown'));
  assert.deepEqual(await ids(store), []);
}

/** A follower that runs beside the test; `bytes` is what has come so far. */
export function startFollower(store: FileStore, id: FileId, signal?: AbortSignal) {
  const seen: Uint8Array[] = [];
  const done = (async () => {
    const options = signal === undefined ? { follow: true } : { follow: true, signal };
    for await (const chunk of store.read(id, options)) seen.push(chunk);
  })();
  done.catch(() => undefined);
  return { done, bytes: () => Buffer.concat(seen) };
}

export function sawAll(follower: { bytes(): Buffer }, expected: Uint8Array): Promise<unknown> {
  return eventually('the follower has every byte written so far', () => follower.bytes().equals(expected));
}
