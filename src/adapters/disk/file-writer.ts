import { rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { FileInfo, FileWriter } from '../../ports/file-store.ts';
import { asDiskWork, diskError, unlessMissing } from './disk-errors.ts';
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
  }

  async #makeWhole(): Promise<FileInfo> {
    const { folders, id } = this.#parts;
    const now = new Date();
    await this.#handle.utimes(now, now);
    await this.#handle.sync();
    await this.#assertStillThere();
    await makeFolder(folders.wholeFolder(id));
    this.#assertOpen();
    // From here on the file is whole, whatever abort() or the signal say.
    this.#state = 'whole';
    await rename(folders.partialPath(id), folders.wholePath(id));
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

  /** sweep() of another process may have taken the file for dead; somebody else's file is not renamed in its place. */
  async #assertStillThere(): Promise<void> {
    const path = this.#parts.folders.partialPath(this.id);
    const there = await unlessMissing(() => stat(path, { bigint: true }));
    const mine = await this.#handle.stat({ bigint: true });
    if (there?.ino !== mine.ino) throw new AudiowaveError('file.abandoned');
  }

  /** Removes the bytes once the call that is running has returned. */
  #discard(): Promise<void> {
    this.#discarding ??= this.#last.then(async () => {
      if (this.#state === 'whole') return;
      try {
        await unlessMissing(() => unlink(this.#parts.folders.partialPath(this.id)));
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
