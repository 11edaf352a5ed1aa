import { MongoClient, type Db, type ObjectId } from 'mongodb';
import type { Distributed } from '../../tests/support/distributed.ts';

/** What lies in a bucket, read past all of our own code. */
export interface Bucket {
  /** Ids of the files that are there as whole ones; 24 hex digits. */
  readonly files: ReadonlySet<string>;
  /** What no file owns, or lacks a part, as lines to read. */
  readonly debris: readonly string[];
}

/** The databases of files and records, behind the adapters' backs. */
export class Buckets {
  readonly #client: MongoClient;
  readonly #names: { readonly videos: string; readonly mp3s: string; readonly records: string };

  constructor(all: Distributed) {
    const { VIDEOS_URL = '', MP3S_URL = '', CONVERSIONS_URL = '' } = all.settings;
    this.#client = new MongoClient(VIDEOS_URL, { serverSelectionTimeoutMS: 5_000 });
    this.#names = {
      videos: databaseName(VIDEOS_URL),
      mp3s: databaseName(MP3S_URL),
      records: databaseName(CONVERSIONS_URL),
    };
  }

  videos(): Promise<Bucket> {
    return readBucket(this.#client.db(this.#names.videos));
  }

  mp3s(): Promise<Bucket> {
    return readBucket(this.#client.db(this.#names.mp3s));
  }

  /** Ids of all records, those that no owner sees included. */
  async recordIds(): Promise<string[]> {
    const records = this.#client.db(this.#names.records).collection('conversions');
    const found = await records.find({}, { projection: { _id: 1 } }).toArray();
    return found.map(({ _id }) => String(_id));
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

function databaseName(url: string): string {
  return new URL(url).pathname.slice(1);
}

interface FileEntry {
  readonly _id: ObjectId;
  readonly length: number;
  readonly chunkSize: number;
}

/** GridFS, as its specification lays it out: `fs.files`, and `fs.chunks` with `files_id` and `n`. */
async function readBucket(db: Db): Promise<Bucket> {
  const debris: string[] = [];
  const chunks = new Map<string, number>();
  const found = db.collection('fs.chunks').find({}, { projection: { files_id: 1, n: 1 } });
  for await (const { files_id: owner } of found) {
    const id = String(owner);
    chunks.set(id, (chunks.get(id) ?? 0) + 1);
  }
  const files = new Set<string>();
  for await (const { _id, length, chunkSize } of db.collection<FileEntry>('fs.files').find()) {
    const id = String(_id);
    files.add(id);
    const wanted = Math.ceil(length / chunkSize);
    if ((chunks.get(id) ?? 0) !== wanted) {
      debris.push(
        `${db.databaseName}: file ${id} has ${String(chunks.get(id) ?? 0)} of ${String(wanted)} chunks`,
      );
    }
  }
  for (const [id, count] of chunks) {
    if (!files.has(id)) debris.push(`${db.databaseName}: ${String(count)} chunks of no file, ${id}`);
  }
  debris.push(...(await others(db)));
  return { files, debris };
}

/** Documents of collections besides the two: what an adapter notes of half-written files must go, too. */
async function others(db: Db): Promise<string[]> {
  const lines: string[] = [];
  for (const { name } of await db.listCollections({}, { nameOnly: true }).toArray()) {
    if (['fs.files', 'fs.chunks'].includes(name) || name.startsWith('system.')) continue;
    const count = await db.collection(name).countDocuments();
    if (count > 0) lines.push(`${db.databaseName}: ${String(count)} documents in ${name}`);
  }
  return lines;
}
