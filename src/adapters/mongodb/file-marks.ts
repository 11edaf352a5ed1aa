import type { Collection, Filter, ObjectId, UpdateFilter } from 'mongodb';
import type { MongoDatabase } from './client.ts';
import {
  writerOf,
  type FileDocument,
  type Leftover,
  type MarkDocument,
  type WriterId,
} from './file-documents.ts';
import { isDuplicateKey } from './mongo-errors.ts';

/** How often a change that others were faster than is tried again. */
const TRIES = 5;

const NOBODY_WRITES = { writer: { $exists: false } } as const;
const NO_WRITER = { writer: 1, touchedAt: 1, follows: 1, file: 1 } as const;

/** A writer and its file. */
export interface Writing {
  readonly id: ObjectId;
  readonly writer: WriterId;
}

/** The collection `fs.marks`. Each method is one atomic change of one document, so that of several processes one wins. */
export class FileMarks {
  readonly #database: MongoDatabase;
  readonly #marks: Collection<MarkDocument>;

  constructor(database: MongoDatabase) {
    this.#database = database;
    this.#marks = database.db.collection('fs.marks');
  }

  find(id: ObjectId): Promise<MarkDocument | null> {
    return this.#database.answer(() => this.#marks.findOne({ _id: id }));
  }

  findMany(ids: readonly ObjectId[]): Promise<MarkDocument[]> {
    const filter = { _id: { $in: [...ids] } };
    return this.#database.answer(() =>
      this.#marks
        .find(filter)
        .batchSize(ids.length + 1)
        .toArray(),
    );
  }

  /** The next marks in the order of their ids. */
  after(id: ObjectId | undefined, limit: number): Promise<MarkDocument[]> {
    const filter: Filter<MarkDocument> = id === undefined ? {} : { _id: { $gt: id } };
    return this.#database.answer(() =>
      this.#marks.find(filter).sort({ _id: 1 }).limit(limit).batchSize(limit).toArray(),
    );
  }

  /**
   * Makes `writer` the one writer of a file. Gives what earlier ones may have left under the id, or undefined where
   * another one writes it, or where another implementation's removed file still has chunks there.
   */
  claim({ id, writer }: Writing): Promise<readonly Leftover[] | undefined> {
    const mine = { writer, touchedAt: new Date() };
    return this.#database.answer(async () => {
      for (let tries = 0; tries < TRIES; tries += 1) {
        try {
          await this.#marks.insertOne({ _id: id, ...mine });
          return [];
        } catch (error) {
          if (!isDuplicateKey(error)) throw error;
        }
        const there = await this.#marks.findOne({ _id: id });
        if (there === null) continue;
        const leftovers = there.leftovers ?? [];
        if (there.writer !== undefined || leftovers.some((one) => one.writer === null)) return undefined;
        const free: Filter<MarkDocument> = { _id: id, ...NOBODY_WRITES };
        if ((await this.#marks.updateOne(free, { $set: mine })).matchedCount > 0) return leftovers;
      }
      return undefined;
    });
  }

  /** Ends the writing: nothing of it is left. */
  async release({ id, writer }: Writing): Promise<void> {
    await this.#database.answer(async () => {
      const mine: Filter<MarkDocument> = { _id: id, writer };
      if ((await this.#marks.deleteOne({ ...mine, leftovers: { $exists: false } })).deletedCount > 0) return;
      await this.#marks.updateOne(mine, { $unset: NO_WRITER });
    });
  }

  /** release(), for files that are whole. */
  async releaseMany(all: readonly Writing[]): Promise<void> {
    const filter: Filter<MarkDocument> = {
      _id: { $in: all.map(({ id }) => id) },
      writer: { $in: all.map(({ writer }) => writer) },
      file: { $exists: true },
    };
    await this.#database.answer(() => this.#marks.deleteMany({ ...filter, leftovers: { $exists: false } }));
  }

  /** The writer is about to make `file` visible; false where it is not the writer any more. Harmless to repeat. */
  async beginCommit({ id, writer }: Writing, file: FileDocument): Promise<boolean> {
    const change = { $set: { file, touchedAt: new Date() } };
    const { matchedCount } = await this.#database.answer(() =>
      this.#marks.updateOne({ _id: id, writer }, change),
    );
    return matchedCount > 0;
  }

  /** The writer is gone, and what it wrote, or may still write, is left over; false where that has changed since. */
  async disown({ id, writer }: Writing, touchedAt?: Date): Promise<boolean> {
    const filter: Filter<MarkDocument> = { _id: id, writer, ...(touchedAt && { touchedAt }) };
    const leftover: Leftover = { writer, since: new Date() };
    const change: UpdateFilter<MarkDocument> = { $unset: NO_WRITER, $push: { leftovers: leftover } };
    return (await this.#database.answer(() => this.#marks.updateOne(filter, change))).matchedCount > 0;
  }

  /** Notes that a whole file is to go, before it goes. */
  bury(file: FileDocument): Promise<void> {
    const { _id } = file;
    const writer = writerOf(file);
    const push = { $push: { leftovers: { writer, since: new Date(), file } satisfies Leftover } };
    return this.#database.answer(async () => {
      for (let tries = 0; ; tries += 1) {
        try {
          await this.#marks.updateOne({ _id, ...NOBODY_WRITES }, push, { upsert: true });
          return;
        } catch (error) {
          if (!isDuplicateKey(error) || tries >= TRIES) throw error;
        }
        // Its own writer has not released it yet, or another one is about to see that the id is taken.
        const own: Filter<MarkDocument> = { _id, writer: writer ?? { $exists: false } };
        if ((await this.#marks.updateOne(own, { ...push, $unset: NO_WRITER })).matchedCount > 0) return;
        const others: Filter<MarkDocument> = { _id, writer: { $exists: true } };
        if ((await this.#marks.updateOne(others, push)).matchedCount > 0) return;
      }
    });
  }

  /** What was left over is gone. */
  async settle(id: ObjectId, writer: WriterId | null): Promise<void> {
    await this.#database.answer(async () => {
      await this.#marks.updateOne({ _id: id }, { $pull: { leftovers: { writer } } });
      await this.#marks.updateOne({ _id: id, leftovers: { $size: 0 } }, { $unset: { leftovers: 1 } });
      await this.#marks.deleteOne({ _id: id, ...NOBODY_WRITES, leftovers: { $exists: false } });
    });
  }

  /** These writers are alive. */
  async touch(all: readonly Writing[]): Promise<void> {
    const filter: Filter<MarkDocument> = {
      _id: { $in: all.map(({ id }) => id) },
      writer: { $in: all.map(({ writer }) => writer) },
      file: { $exists: false },
    };
    await this.#database.answer(() => this.#marks.updateMany(filter, { $set: { touchedAt: new Date() } }));
  }

  /** Asks the writer to show also the chunk that is not full yet, for a while. */
  async askToFollow({ id, writer }: Writing): Promise<void> {
    await this.#database.answer(() => this.#marks.updateOne({ _id: id, writer }, { $inc: { follows: 1 } }));
  }
}
