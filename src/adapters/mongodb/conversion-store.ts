import { ObjectId, type Collection, type Filter, type Sort } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { checkPageLimit, nextVersion, type SweepKeys } from '../../domain/conversion-record.ts';
import type { Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { decodeCursor, encodeCursor } from '../../domain/list-cursor.ts';
import { emailKey } from '../../domain/user.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Change, ConversionPage, ConversionStore } from '../../ports/conversion-store.ts';
import { CALL_DEADLINE_MS, MongoDatabase } from './client.ts';
import { documentOf, INDEXES, newWriteId, recordOf, type ConversionDocument } from './conversion-document.ts';
import { LazyIndexes } from './lazy-indexes.ts';
import { DeadlinePassed, isDuplicateKey } from './mongo-errors.ts';
import { RecentDocuments } from './recent-documents.ts';

const COLLECTION = 'conversions';

const KEPT = { video: 'videoKeptSince', mp3: 'mp3KeptSince', drafts: 'draftsNamedSince' } as const;

const AWAITING = { conversion: 'queuedSince', mail: 'mailDueSince' } as const;

const NEWEST_FIRST: Sort = { createdAt: -1, _id: -1 };

/** An id that no file has. */
const NOBODY = new ObjectId('0'.repeat(24));

type ConversionFilter = Filter<ConversionDocument>;

/**
 * Records of conversions in a MongoDB, one document each, written by single-document operations only. A write whose
 * answer got lost is looked up by its id, so that what a call says is what was done; where the server stays away, the
 * call fails with `store.unavailable` and nobody knows.
 */
export class MongoConversionStore implements ConversionStore {
  readonly #database: MongoDatabase;
  readonly #records: Collection<ConversionDocument>;
  readonly #indexes: LazyIndexes;
  readonly #recent = new RecentDocuments();

  private constructor(database: MongoDatabase, log: Logger) {
    this.#database = database;
    this.#records = database.db.collection(COLLECTION);
    this.#indexes = new LazyIndexes(database, COLLECTION, INDEXES, log);
  }

  /**
   * Opens the database that `url` names (`audiowave` where it names none). Throws `config.invalid` for a URL that can't
   * be read, never because the server is away.
   */
  static open(url: string, { log }: { readonly log: Logger }): MongoConversionStore {
    return new MongoConversionStore(MongoDatabase.open(url, { log, database: 'audiowave' }), log);
  }

  create(conversion: Conversion): Promise<void> {
    const writeId = newWriteId();
    const document = documentOf(conversion, writeId);
    return this.#bridge(async (end) => {
      while (!(await this.#insert(document))) {
        const there = await this.#readDocument(conversion.id);
        if (there?.writes.includes(writeId) === true) return;
        if (there !== null) throw new AudiowaveError('conversion.exists');
        // It is there, but not yet on a majority of the servers.
        await pause(end);
      }
      this.#recent.keep(document);
    });
  }

  find(id: FileId): Promise<Conversion | undefined> {
    return this.#first({ _id: new ObjectId(id) });
  }

  findOwned(id: FileId, owner: string): Promise<Conversion | undefined> {
    return this.#first({ _id: new ObjectId(id), 'keys.owner': emailKey(owner) });
  }

  findByMp3(mp3Fid: FileId): Promise<Conversion | undefined> {
    return this.#first({ 'keys.mp3': mp3Fid });
  }

  findByLink(tokenHash: string): Promise<Conversion | undefined> {
    return this.#first({ 'keys.links': tokenHash });
  }

  async list(
    owner: string,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<ConversionPage> {
    const { limit, cursor } = options;
    checkPageLimit(limit);
    const after = cursor === undefined ? {} : placeAfter(cursor);
    // One record more than asked for tells whether another page follows.
    const found = await this.#all({ 'keys.owner': emailKey(owner), ...after }, NEWEST_FIRST, limit + 1);
    const conversions = found.slice(0, limit);
    const last = conversions.at(-1);
    return {
      conversions,
      next: found.length > limit && last !== undefined ? encodeCursor(last) : undefined,
    };
  }

  update(id: FileId, change: Change): Promise<Conversion | undefined> {
    const writeId = newWriteId();
    let written: Conversion | undefined;
    return this.#bridge(async (end) => {
      const recent = this.#recent.take(id);
      if (recent !== undefined) {
        const next = changedOrStale(recent, change);
        if (next !== undefined) {
          written = next;
          if (await this.#replace(recent, documentOf(next, writeId, recent.writes))) return next;
        }
      }
      for (;;) {
        const current = await this.#readDocument(id);
        if (current === null) return undefined;
        if (current.writes.includes(writeId)) {
          return current.version === written?.version ? recordOf(current) : written;
        }
        written = nextVersion(recordOf(current), change);
        if (written === undefined) return undefined;
        throwAfter(end);
        if (await this.#replace(current, documentOf(written, writeId, current.writes))) return written;
        await pause(end);
      }
    });
  }

  remove(id: FileId): Promise<boolean> {
    const filter = { _id: new ObjectId(id) };
    let tried = false;
    this.#recent.take(id);
    return this.#bridge(async () => {
      if ((await this.#records.findOne(filter, { projection: { _id: 1 } })) === null) return tried;
      const before = tried;
      tried = true;
      return (await this.#records.deleteOne(filter)).deletedCount === 1 || before;
    });
  }

  unpublished(before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due('unpublishedSince', before, limit);
  }

  leaseExpired(before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due('leaseUntil', before, limit);
  }

  retentionDue(kind: keyof typeof KEPT, before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due(KEPT[kind], before, limit);
  }

  awaiting(kind: keyof typeof AWAITING, before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due(AWAITING[kind], before, limit);
  }

  /** Also tells where our credentials do not suffice for the collection. */
  async check(): Promise<void> {
    await this.#database.checkBy(() => this.#records.findOne({ _id: NOBODY }));
    this.#indexes.ensure();
  }

  /** Calls under way fail. Bounded; harmless twice. */
  close(): Promise<void> {
    return this.#database.close();
  }

  async #bridge<T>(work: (end: number) => Promise<T>): Promise<T> {
    const result = await this.#database.bridge(work);
    this.#indexes.ensure();
    return result;
  }

  #readDocument(id: FileId): Promise<ConversionDocument | null> {
    return this.#records.findOne({ _id: new ObjectId(id) });
  }

  /** False where there is one of this id already. */
  async #insert(document: ConversionDocument): Promise<boolean> {
    try {
      await this.#records.insertOne(document);
      return true;
    } catch (error) {
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  /** False where somebody else has written since `current` was read. */
  async #replace({ _id, version }: ConversionDocument, document: ConversionDocument): Promise<boolean> {
    if ((await this.#records.replaceOne({ _id, version }, document)).matchedCount !== 1) return false;
    this.#recent.keep(document);
    return true;
  }

  #first(filter: ConversionFilter): Promise<Conversion | undefined> {
    return this.#bridge(async () => {
      const found = await this.#records.findOne(filter);
      return found === null ? undefined : recordOf(found);
    });
  }

  #all(filter: ConversionFilter, sort: Sort, limit: number): Promise<Conversion[]> {
    return this.#bridge(async () => {
      const found = await this.#records.find(filter).sort(sort).limit(limit).toArray();
      return found.map(recordOf);
    });
  }

  #due(key: keyof SweepKeys, before: number, limit: number): Promise<readonly Conversion[]> {
    const field = `keys.${key}` as const;
    return this.#all({ [field]: { $lt: before } }, { [field]: 1, _id: 1 }, limit);
  }
}

/** What `change` makes of a document that may be out of date: whatever else it says needs a fresh one. */
function changedOrStale(document: ConversionDocument, change: Change): Conversion | undefined {
  try {
    return nextVersion(recordOf(document), change);
  } catch {
    return undefined;
  }
}

/** What comes after the place of a cursor in a list; the first condition bounds the search in the index. */
function placeAfter(cursor: string): ConversionFilter {
  const { createdAt, id } = decodeCursor(cursor);
  const later = [{ createdAt: { $lt: createdAt } }, { _id: { $lt: new ObjectId(id) } }];
  return { createdAt: { $lte: createdAt }, $or: later };
}

/** Several who write the same record come back at different times. */
async function pause(end: number): Promise<void> {
  throwAfter(end);
  await delay(1 + Math.random() * 15);
}

/** Ends the work of a call that has been answered already. */
function throwAfter(end: number): void {
  if (Date.now() >= end) throw new DeadlinePassed(CALL_DEADLINE_MS);
}
