import { link, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { FileInfo, FileWriter } from '../../ports/file-store.ts';
import { asDiskWork, diskError, systemCode, unlessMissing } from './disk-errors.ts';
import { makeFolder, syncFolder, WHOLE_MODE, type Folders } from './folders.ts';

export interface WriterParts {
  readonly id: FileId;
  /** Open for writing at the partial path, empty; the writer closes it. */
  readonly handle: FileHandle;
  readonly folders: Folders;
  readonly signal: AbortSignal | undefined;
  /** Called when the file has grown, is whole or was given up. */
  readonly onChange: () => void;
  /** Called once, when the handle is closed. */
  readonly onEnd: () => void;
}

/** Writes one partial file and renames it when it is whole. Calls are worked off in the order in which they came. */
export class DiskFileWriter implements FileWriter {
  readonly id: FileId;
  readonly #parts: WriterParts;
  readonly #handle: FileHandle;
  #sizeBytes = 0;
  #state: 'open' | 'whole' | 'broken' = 'open';
  /** Why the writer is broken; what later calls fail with. */
  #reason: Error | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #discarding: Promise<void> | undefined;
  #ended = false;

  constructor(parts: WriterParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#handle = parts.handle;
    parts.signal?.addEventListener('abort', this.#onSignal, { once: true });
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      await this.#writeAt(chunk, this.#sizeBytes);
      this.#sizeBytes += chunk.byteLength;
      this.#parts.onChange();
    });
  }

  rewriteHead(bytes: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      if (bytes.byteLength > this.#sizeBytes) {
        throw new TypeError('A head can only replace bytes that have been written.');
      }
      await this.#writeAt(bytes, 0);
    });
  }

  commit(): Promise<FileInfo> {
    return this.#inTurn(async () => {
      try {
        return await this.#makeWhole();
      } catch (error) {
        throw this.#break(error);
      }
    });
  }

  async abort(): Promise<void> {
    this.#giveUp(new AudiowaveError('file.abandoned'));
    await this.#discard();
  }

  readonly #onSignal = (): void => {
    this.#giveUp(this.#parts.signal?.reason);
    // Whoever fired the signal learns of it by the write that fails; what can't be removed now, sweep() removes.
    this.#discard().catch(() => undefined);
  };

  #giveUp(reason: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.#reason =
      reason instanceof Error ? reason : new AudiowaveError('file.abandoned', undefined, { cause: reason });
  }

  /** Nothing more can be done with the file; the first reason stands. */
  #break(error: unknown): Error {
    this.#state = 'broken';
    this.#reason ??= diskError(error);
    return this.#reason;
  }

  #assertOpen(): void {
    if (this.#reason !== undefined) throw this.#reason;
    if (this.#state === 'whole') throw new TypeError('The file is committed already.');
  }

  /** Runs `work` after the calls before it, unless the file has ended by then. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      this.#assertOpen();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #writeAt(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.byteLength - done,
          position + done,
        );
        done += bytesWritten;
      }
    } catch (error) {
      // After a write that failed half-way nobody may commit what there is.
      throw this.#break(error);
    }
    // Also when the signal fired while the system was writing.
    this.#assertOpen();
    await this.#assertNotAbandoned();
  }

  /** Somebody, perhaps in another process, has given the file up: its name is gone, and soon perhaps another writer's. */
  async #assertNotAbandoned(): Promise<void> {
    const { nlink } = await asDiskWork(() => this.#handle.stat());
    if (nlink === 0) throw this.#break(new AudiowaveError('file.abandoned'));
  }

  async #makeWhole(): Promise<FileInfo> {
    const { folders, id } = this.#parts;
    const now = new Date();
    await this.#handle.utimes(now, now);
    await this.#handle.sync();
    await makeFolder(folders.wholeFolder(id));
    this.#assertOpen();
    // From here on the file becomes whole, whatever abort() or the signal say, unless somebody has given it up.
    this.#state = 'whole';
    const aside = folders.committingPath(id);
    if (!(await this.#putAside(aside))) throw new AudiowaveError('file.abandoned');
    await this.#makeVisible(aside);
    try {
      await this.#handle.chmod(WHOLE_MODE);
      await syncFolder(folders.wholeFolder(id));
      await syncFolder(folders.partial);
      const { size, mtimeMs } = await this.#handle.stat();
      await this.#end();
      return { id, sizeBytes: size, storedAt: Math.round(mtimeMs) };
    } catch (error) {
      // A file that may vanish with the next power cut was never committed.
      await unlink(folders.wholePath(id)).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Renames this writer's file, and no other, to a name that is its own; false where it was swept or abandoned. Whether
   * the file under its former name is still this one can only be told once nobody else can put another in its place.
   */
  async #putAside(aside: string): Promise<boolean> {
    const path = this.#parts.folders.partialPath(this.id);
    if (!(await this.#isMine(path))) return false;
    if ((await unlessMissing(() => rename(path, aside).then(() => true))) === undefined) return false;
    if (await this.#isMine(aside)) return true;
    // It was given up between the look and the step, and the next writer's file is put back.
    await link(aside, path).catch(() => undefined);
    await unlessMissing(() => unlink(aside));
    return false;
  }

  async #isMine(path: string): Promise<boolean> {
    const there = await unlessMissing(() => stat(path, { bigint: true }));
    const mine = await this.#handle.stat({ bigint: true });
    return there?.ino === mine.ino;
  }

  async #makeVisible(aside: string): Promise<void> {
    const { folders, id } = this.#parts;
    try {
      await rename(aside, folders.wholePath(id));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw new AudiowaveError('file.abandoned');
      await unlink(aside).catch(() => undefined);
      throw error;
    }
  }

  /** Removes the bytes once the call that is running has returned. */
  #discard(): Promise<void> {
    this.#discarding ??= this.#last.then(async () => {
      if (this.#state === 'whole') return;
      try {
        const aside = this.#parts.folders.committingPath(this.id);
        if (await this.#putAside(aside)) await unlessMissing(() => unlink(aside));
      } finally {
        await this.#end();
      }
    });
    return this.#discarding;
  }

  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.signal?.removeEventListener('abort', this.#onSignal);
    await asDiskWork(() => this.#handle.close()).finally(() => {
      this.#parts.onEnd();
      this.#parts.onChange();
    });
  }
}
