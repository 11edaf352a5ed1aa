import {
  Binary,
  Long,
  MongoServerError,
  ObjectId,
  type Collection,
  type Document,
  type Filter,
} from 'mongodb';
import type { Logger } from '../../ports/logger.ts';
import type { MongoDatabase } from './client.ts';
import {
  chunkIdOf,
  isChunkOf,
  MOST_CHUNKS,
  writerOf,
  type ChunkDocument,
  type FileDocument,
  type WriterId,
} from './file-documents.ts';
import { isDuplicateKey } from './mongo-errors.ts';

/** Chunks that one delete names: a call has a deadline, however large the file is. */
const DELETED_AT_ONCE = 200;

const FIRST_ID = new ObjectId('0'.repeat(24));

const NAMESPACE_NOT_FOUND = 26;

/**
 * The collections `fs.files` and `fs.chunks` of a GridFS bucket: one method, one operation on single documents. They are
 * tried once; their errors are the port's.
 */
export class FileBucket {
  readonly #database: MongoDatabase;
  readonly #log: Logger;
  readonly #files: Collection<FileDocument>;
  readonly #chunks: Collection<ChunkDocument>;
  #indexed: Promise<void> | undefined;

  constructor(database: MongoDatabase, log: Logger) {
    this.#database = database;
    this.#log = log;
    this.#files = database.db.collection('fs.files');
    this.#chunks = database.db.collection('fs.chunks');
  }

  async findFile(id: ObjectId): Promise<FileDocument | undefined> {
    return (await this.#database.answer(() => this.#files.findOne({ _id: id }))) ?? undefined;
  }

  /** The next files in the order of their ids; only those with an ObjectId, which is what $gt compares with. */
  filesAfter(id: ObjectId | undefined, limit: number): Promise<FileDocument[]> {
    const filter: Filter<FileDocument> = { _id: id === undefined ? { $gte: FIRST_ID } : { $gt: id } };
    return this.#database.answer(() =>
      this.#files.find(filter).sort({ _id: 1 }).limit(limit).batchSize(limit).toArray(),
    );
  }

  /** Makes a file visible; false where another one has its id. Harmless to repeat. */
  insertFile(file: FileDocument): Promise<boolean> {
    return this.#database.answer(async () => {
      try {
        await this.#files.insertOne({ ...file, length: wholeNumber(file.length) });
        return true;
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const there = await this.#files.findOne({ _id: file._id });
        return there !== null && writerOf(there) === writerOf(file);
      }
    });
  }

  /** Takes a file out of sight, where it is that writer's; its chunks stay. True where it was there. */
  async deleteFile(id: ObjectId, writer: WriterId | null): Promise<boolean> {
    // null also finds documents without the field.
    const filter = { _id: id, 'metadata.audiowaveWriter': writer } as Filter<FileDocument>;
    return (await this.#database.answer(() => this.#files.deleteOne(filter))).deletedCount > 0;
  }

  findChunk(file: ObjectId, n: number): Promise<ChunkDocument | null> {
    return this.#database.answer(() => this.#chunks.findOne({ files_id: file, n }));
  }

  /** Stores a chunk; the `_id` of the chunk that stands in its place where there is one of another writer. Harmless to repeat. */
  insertChunk(file: ObjectId, writer: WriterId, n: number, bytes: Uint8Array): Promise<ObjectId | undefined> {
    const _id = chunkIdOf(writer, n);
    return this.#database.answer(async () => {
      try {
        await this.#chunks.insertOne({ _id, files_id: file, n, data: new Binary(bytes) });
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const there = await this.#chunks.findOne({ files_id: file, n }, { projection: { _id: 1 } });
        // Ours: the answer to the first try got lost. None: another writer's, removed in this moment.
        if (there === null) throw error;
        if (!isChunkOf(writer, there._id)) return there._id;
      }
      return undefined;
    });
  }

  /** Replaces the bytes of a chunk that is there; false where it is not any more. */
  async replaceChunk(writer: WriterId, n: number, bytes: Uint8Array): Promise<boolean> {
    const change = { $set: { data: new Binary(bytes) } };
    const { matchedCount } = await this.#database.answer(() =>
      this.#chunks.updateOne({ _id: chunkIdOf(writer, n) }, change),
    );
    return matchedCount > 0;
  }

  async deleteChunk(_id: ObjectId): Promise<void> {
    await this.#database.answer(() => this.#chunks.deleteOne({ _id }));
  }

  /** Deletes the first `count` chunks of a writer. */
  async deleteChunks(writer: WriterId, count: number): Promise<void> {
    for (let from = 0; from < count; from += DELETED_AT_ONCE) {
      const length = Math.min(DELETED_AT_ONCE, count - from);
      await this.#deleteNamed(Array.from({ length }, (_, i) => chunkIdOf(writer, from + i)));
    }
  }

  /** Deletes every chunk of an id that `writer` wrote, or anybody; slower than where one knows how many there are. */
  async deleteAllChunks(file: ObjectId, writer: WriterId | null): Promise<void> {
    const range = writer && { $gte: chunkIdOf(writer, 0), $lte: chunkIdOf(writer, MOST_CHUNKS - 1) };
    const filter: Filter<ChunkDocument> = { files_id: file, ...(range && { _id: range }) };
    const options = { projection: { _id: 1 }, limit: DELETED_AT_ONCE, batchSize: DELETED_AT_ONCE };
    for (;;) {
      const found = await this.#database.answer(() => this.#chunks.find(filter, options).toArray());
      if (found.length === 0) return;
      await this.#deleteNamed(found.map(({ _id }) => _id));
    }
  }

  async #deleteNamed(ids: ObjectId[]): Promise<void> {
    await this.#database.answer(() => this.#chunks.deleteMany({ _id: { $in: ids } }));
  }

  /**
   * Makes the index of `fs.chunks` where there is none (GridFS specification, "Indexes"), once. A bucket that can't have
   * it, because other programs left chunks twice, is used as it is.
   */
  async ensureIndex(): Promise<void> {
    this.#indexed ??= this.#makeIndex();
    try {
      await this.#indexed;
    } catch (error) {
      this.#indexed = undefined;
      throw error;
    }
  }

  #makeIndex(): Promise<void> {
    return this.#database.answer(async () => {
      const indexes = await this.#chunks.listIndexes().toArray().catch(unlessNoCollection);
      if (indexes.some(({ key }) => JSON.stringify(key) === '{"files_id":1,"n":1}')) return;
      try {
        await this.#chunks.createIndexes([{ key: { files_id: 1, n: 1 }, unique: true }]);
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const fields = { bucket: this.#database.shown };
        this.#log.warn(fields, 'fs.chunks holds chunks twice; it is used without its unique index.');
      }
    });
  }
}

/**
 * `length` is a whole number (GridFS specification); one of more than 32 bits would go out as a floating one, which
 * drivers in other languages stumble over. It comes back as a number.
 */
function wholeNumber(length: number): number {
  return length > 0x7fffffff ? (Long.fromNumber(length) as unknown as number) : length;
}

function unlessNoCollection(error: unknown): Document[] {
  if (error instanceof MongoServerError && error.code === NAMESPACE_NOT_FOUND) return [];
  throw error;
}
