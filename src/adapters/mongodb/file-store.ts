import { ObjectId } from 'mongodb';
import { AudiowaveError } from '../../domain/errors.ts';
import { assertFileId, parseFileId, type FileId } from '../../domain/ids.ts';
import type { FileInfo, FileStore, FileWriter, ReadOptions } from '../../ports/file-store.ts';
import type { Logger } from '../../ports/logger.ts';
import { MongoDatabase } from './client.ts';
import { abandonWriter } from './file-abandon.ts';
import { FileBucket } from './file-bucket.ts';
import { mintWriterId, objectIdOf, writerOf, type FileDocument } from './file-documents.ts';
import { readFollowing } from './file-follower.ts';
import { WriterKeeper } from './file-keeper.ts';
import { FileMarks, type Writing } from './file-marks.ts';
import { readWhole } from './file-reader.ts';
import { deleteLeftChunks, sweepMarks } from './file-sweep.ts';
import { GridFsFileWriter } from './file-writer.ts';

const LISTED_AT_ONCE = 1_000;

/** How long close() waits for files to be given up; what remains is swept. */
const CLOSE_MS = 3_000;

/** The database where the URL names none: that of a driver that is told nothing. */
const DEFAULT_DATABASE = 'test';

/**
 * Keeps files in the GridFS bucket `fs` of a MongoDB database, readable by every other driver, and reads theirs. Beside
 * it stands our collection `fs.marks`: files that are being written, or have gone and still have readers.
 *
 * Only single documents are changed, each atomically; a standalone server serves. A removed file's bytes stay until a
 * sweep whose `olderThan` is later than the removal; readers that take longer fail with `file.unknown`.
 */
export class GridFsFileStore implements FileStore {
  readonly #database: MongoDatabase;
  readonly #bucket: FileBucket;
  readonly #marks: FileMarks;
  readonly #keeper: WriterKeeper;
  #closed: Promise<void> | undefined;

  private constructor(database: MongoDatabase, log: Logger) {
    this.#database = database;
    this.#bucket = new FileBucket(database, log);
    this.#marks = new FileMarks(database);
    this.#keeper = new WriterKeeper(this.#marks);
  }

  /** Opens the store of `mongodb://…/<database>`; `config.invalid` for a URL that is none. It connects with the first call. */
  static open(url: string, { log }: { readonly log: Logger }): Promise<GridFsFileStore> {
    return Promise.resolve().then(() => {
      const database = MongoDatabase.open(url, { log, database: DEFAULT_DATABASE });
      return new GridFsFileStore(database, log);
    });
  }

  /** The id of a file removed by us may be used again; of another implementation's, only once its chunks are swept. */
  async create(id: FileId, options: { readonly signal?: AbortSignal } = {}): Promise<FileWriter> {
    const { signal } = options;
    assertFileId(id);
    signal?.throwIfAborted();
    if (this.#closed !== undefined) {
      throw new AudiowaveError('store.unavailable', undefined, { detail: 'the store is closed' });
    }
    await this.#bucket.ensureIndex();
    const writing = { id: objectIdOf(id), writer: mintWriterId() };
    try {
      await this.#begin(writing);
      signal?.throwIfAborted();
    } catch (error) {
      // Where the store is away now the mark is swept some day; nothing was written.
      await this.#marks.release(writing).catch(() => undefined);
      throw error;
    }
    const bucket = this.#bucket;
    const writer: GridFsFileWriter = new GridFsFileWriter({
      id,
      writing,
      bucket,
      marks: this.#marks,
      signal,
      onEnd: (end) => {
        this.#keeper.drop(writer, end);
      },
    });
    this.#keeper.add(writer);
    return writer;
  }

  async #begin(writing: Writing): Promise<void> {
    const leftovers = await this.#marks.claim(writing);
    if (leftovers === undefined) throw new AudiowaveError('file.exists');
    // Only now: before the claim, another writer could still have committed after the look.
    if ((await this.#bucket.findFile(writing.id)) !== undefined) throw new AudiowaveError('file.exists');
    for (const leftover of leftovers) await deleteLeftChunks(this.#bucket, writing.id, leftover);
  }

  async stat(id: FileId): Promise<FileInfo | undefined> {
    const file = await this.#bucket.findFile(objectIdOf(id));
    return file && infoOf(id, file);
  }

  read(id: FileId, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    const parts = { bucket: this.#bucket, marks: this.#marks, keeper: this.#keeper };
    return options.follow === true ? readFollowing(parts, id, options) : readWhole(this.#bucket, id, options);
  }

  async remove(id: FileId): Promise<boolean> {
    const file = await this.#bucket.findFile(objectIdOf(id));
    if (file === undefined) return false;
    await this.#marks.bury(file);
    return this.#bucket.deleteFile(file._id, writerOf(file));
  }

  abandon(id: FileId): Promise<void> {
    const parts = { bucket: this.#bucket, marks: this.#marks, keeper: this.#keeper };
    return Promise.resolve().then(() => abandonWriter(parts, objectIdOf(id)));
  }

  async *list(): AsyncGenerator<FileInfo, void, undefined> {
    for (let after: ObjectId | undefined; ;) {
      const files = await this.#bucket.filesAfter(after, LISTED_AT_ONCE);
      for (const file of files) {
        // Other programs may have named theirs by anything.
        const id = file._id instanceof ObjectId ? parseFileId(file._id.toHexString()) : undefined;
        if (id !== undefined) yield infoOf(id, file);
      }
      after = files.at(-1)?._id;
      if (after === undefined) return;
    }
  }

  sweep(olderThan: number): Promise<number> {
    const parts = { bucket: this.#bucket, marks: this.#marks, keeper: this.#keeper };
    return sweepMarks(parts, olderThan);
  }

  /** MongoDB does not say. */
  freeBytes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  check(): Promise<void> {
    return this.#database.check();
  }

  /** Files that are still being written are given up. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const ended = Promise.allSettled(this.#keeper.writers.map((writer) => writer.abort()));
    const timeout = Promise.withResolvers();
    const timer = setTimeout(timeout.resolve, CLOSE_MS);
    await Promise.race([ended.then(() => this.#keeper.stop()), timeout.promise]);
    clearTimeout(timer);
    await this.#database.close();
    await this.#keeper.stop();
  }
}

function infoOf(id: FileId, { _id, length, uploadDate }: FileDocument): FileInfo {
  // Only other programs leave the date out.
  const storedAt = uploadDate instanceof Date ? uploadDate : _id.getTimestamp();
  return { id, sizeBytes: length, storedAt: storedAt.getTime() };
}
