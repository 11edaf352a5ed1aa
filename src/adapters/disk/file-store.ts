import { randomUUID } from 'node:crypto';
import { open, opendir, readdir, stat, statfs, unlink, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AudiowaveError, ERRORS } from '../../domain/errors.ts';
import { isFileId, type FileId } from '../../domain/ids.ts';
import type { FileInfo, FileStore, FileWriter, ReadOptions } from '../../ports/file-store.ts';
import { asDiskWork, diskError, systemCode, unlessMissing } from './disk-errors.ts';
import { readFollowing, readWhole } from './file-reader.ts';
import { DiskFileWriter } from './file-writer.ts';
import { Folders, makeFolder, PARTIAL_MODE } from './folders.ts';
import { Growth } from './growth.ts';

/**
 * Keeps files in a folder: `<last two digits>/<id>` when whole, `partial/<id>` while they are written, and in
 * `committing` for the moment in between. Several
 * processes may share the folder; a follower sees the writer of another process by polling.
 */
export class DiskFileStore implements FileStore {
  readonly #folders: Folders;
  readonly #growth = new Growth();
  readonly #writers = new Map<FileId, DiskFileWriter>();
  #closed = false;

  private constructor(folders: Folders) {
    this.#folders = folders;
  }

  /** Opens the store in `folder`, which is made where there is none; `store.unavailable` where it can't be. */
  static async open(folder: string): Promise<DiskFileStore> {
    const folders = new Folders(folder);
    await asDiskWork(() => makeFolder(folders.partial));
    await asDiskWork(() => makeFolder(folders.committing));
    return new DiskFileStore(folders);
  }

  async create(id: FileId, options: { readonly signal?: AbortSignal } = {}): Promise<FileWriter> {
    const { signal } = options;
    const partialPath = this.#folders.partialPath(id);
    signal?.throwIfAborted();
    if (this.#closed)
      throw new AudiowaveError('store.unavailable', undefined, { detail: 'the store is closed' });
    const handle = await createExclusively(partialPath);
    const writer: DiskFileWriter = new DiskFileWriter({
      id,
      handle,
      folders: this.#folders,
      signal,
      onChange: () => {
        this.#growth.ring(id);
      },
      onEnd: () => {
        // Another one may write it by now, where this one was abandoned.
        if (this.#writers.get(id) === writer) this.#writers.delete(id);
      },
    });
    this.#writers.set(id, writer);
    try {
      // Only now: before the exclusive open, another writer could still have committed after the look.
      if (await this.#isTaken(id)) throw new AudiowaveError('file.exists');
      signal?.throwIfAborted();
      return writer;
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** In the order in which a file goes its way, so that it can't slip through. */
  async #isTaken(id: FileId): Promise<boolean> {
    const committing = await this.#folders.committingPaths(id);
    return committing.length > 0 || (await this.stat(id)) !== undefined;
  }

  async stat(id: FileId): Promise<FileInfo | undefined> {
    const path = this.#folders.wholePath(id);
    const facts = await unlessMissing(() => stat(path));
    return facts && { id, sizeBytes: facts.size, storedAt: Math.round(facts.mtimeMs) };
  }

  read(id: FileId, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    return options.follow === true
      ? readFollowing(this.#folders, this.#growth, id, options)
      : readWhole(this.#folders, id, options);
  }

  async remove(id: FileId): Promise<boolean> {
    const path = this.#folders.wholePath(id);
    return (await unlessMissing(() => unlink(path).then(() => true))) ?? false;
  }

  async abandon(id: FileId): Promise<void> {
    const path = this.#folders.partialPath(id);
    await unlessMissing(() => unlink(path));
    // In this order: a commit that begins now finds nothing, one that has begun stands here, or is whole.
    for (const aside of await this.#folders.committingPaths(id)) await unlessMissing(() => unlink(aside));
    this.#growth.ring(id);
  }

  async *list(): AsyncGenerator<FileInfo, void, undefined> {
    for (const folder of await asDiskWork(() => readdir(this.#folders.root))) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      const entries = await unlessMissing(() => opendir(join(this.#folders.root, folder)));
      for await (const entry of entries ?? []) {
        if (!isFileId(entry.name) || !entry.name.endsWith(folder)) continue;
        const info = await this.stat(entry.name);
        if (info !== undefined) yield info;
      }
    }
  }

  async sweep(olderThan: number): Promise<number> {
    let swept = 0;
    for (const name of await asDiskWork(() => readdir(this.#folders.partial))) {
      // A writer of this process is alive, however slow its source is; it ends its file itself.
      if (!isFileId(name) || this.#writers.has(name)) continue;
      if (await this.#sweepOne(this.#folders.partialPath(name), olderThan)) swept += 1;
    }
    for (const name of (await unlessMissing(() => readdir(this.#folders.committing))) ?? []) {
      const [id] = name.split('.', 1);
      if (!isFileId(id) || this.#writers.has(id)) continue;
      if (await this.#sweepOne(join(this.#folders.committing, name), olderThan)) swept += 1;
    }
    return swept;
  }

  async #sweepOne(path: string, olderThan: number): Promise<boolean> {
    const facts = await unlessMissing(() => stat(path));
    if (facts === undefined || facts.mtimeMs >= olderThan) return false;
    return (await unlessMissing(() => unlink(path).then(() => true))) ?? false;
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await asDiskWork(() => statfs(this.#folders.root));
    return bavail * bsize;
  }

  async localPath(id: FileId): Promise<string | undefined> {
    return (await this.stat(id)) && this.#folders.wholePath(id);
  }

  async check(): Promise<void> {
    const probe = join(this.#folders.partial, `.probe-${randomUUID()}`);
    try {
      await writeFile(probe, 'x', { flag: 'wx', mode: PARTIAL_MODE });
      await unlink(probe);
    } catch (error) {
      const { detail } = diskError(error);
      throw new AudiowaveError('store.unavailable', ERRORS['store.unavailable'].meaning, {
        cause: error,
        ...(detail === undefined ? {} : { detail }),
      });
    }
  }

  /** Files that are still being written are given up. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#writers.values()].map((writer) => writer.abort()));
  }
}

/** Of two processes that try, the file system lets one through. */
async function createExclusively(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', PARTIAL_MODE);
  } catch (error) {
    throw systemCode(error) === 'EEXIST' ? new AudiowaveError('file.exists') : diskError(error);
  }
}
