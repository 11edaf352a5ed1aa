import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { GridFSBucket, MongoClient, type Collection } from 'mongodb';
import type { ChunkDocument, FileDocument, MarkDocument } from '../../src/adapters/mongodb/file-documents.ts';
import { GridFsFileStore } from '../../src/adapters/mongodb/file-store.ts';
import { recordedLog } from './recorded-log.ts';
import type { MongoDbServer } from './servers/mongodb.ts';

/** A bucket on a fresh database: our stores, the official driver's view, and the bare documents. */
export interface TestBucket {
  readonly url: string;
  /** A store as another process would open it; closed with the test. */
  open(): Promise<GridFsFileStore>;
  readonly official: (chunkSizeBytes?: number) => GridFSBucket;
  readonly files: Collection<FileDocument>;
  readonly chunks: Collection<ChunkDocument>;
  readonly marks: Collection<MarkDocument>;
  /** Fails where a chunk has no file, or a mark is left. */
  assertTidy(): Promise<void>;
}

export async function testBucket(t: Pick<TestContext, 'after'>, server: MongoDbServer): Promise<TestBucket> {
  const url = server.freshUrl('videos');
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5_000 });
  t.after(() => client.close());
  await client.connect();
  const db = client.db();
  const files = db.collection<FileDocument>('fs.files');
  const chunks = db.collection<ChunkDocument>('fs.chunks');
  const marks = db.collection<MarkDocument>('fs.marks');
  return {
    url,
    files,
    chunks,
    marks,
    open: async () => {
      const store = await GridFsFileStore.open(url, { log: recordedLog() });
      t.after(() => store.close());
      return store;
    },
    official: (chunkSizeBytes = 261_120) => new GridFSBucket(db, { chunkSizeBytes }),
    assertTidy: async () => {
      const known = new Set((await files.find().toArray()).map(({ _id }) => _id.toHexString()));
      const found = await chunks.find({}, { projection: { files_id: 1, n: 1 } }).toArray();
      assert.deepEqual(
        found.filter(({ files_id }) => !known.has(files_id.toHexString())).map(({ n }) => n),
        [],
        'no chunk without a file',
      );
      assert.deepEqual(await marks.find().toArray(), []);
    },
  };
}
