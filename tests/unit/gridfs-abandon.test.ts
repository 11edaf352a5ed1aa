import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ObjectId } from 'mongodb';
import type { FileDocument } from '../../src/adapters/mongodb/file-documents.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import { collect, patternBytes } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { testBucket, type TestBucket } from '../support/gridfs.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { storeAll } from '../support/store-all.ts';

// Files of which it is not known whether they are about to become whole.

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

/** A file whose writer has begun to commit `ageMs` ago; it is visible where it `isThere`. */
async function committing(
  bucket: TestBucket,
  id: FileId,
  ageMs: number,
  isThere: boolean,
): Promise<FileDocument> {
  const store = await bucket.open();
  const bytes = patternBytes(1_000);
  await storeAll(
    store,
    id,
    (async function* () {
      yield await Promise.resolve(bytes);
    })(),
  );
  await eventually(
    'its mark is gone',
    async () => (await bucket.marks.countDocuments({ _id: new ObjectId(id) })) === 0,
  );
  const file = await bucket.files.findOne({ _id: new ObjectId(id) });
  const writer = file?.metadata?.audiowaveWriter;
  assert.ok(file !== null && writer !== undefined);
  await bucket.marks.insertOne({ _id: file._id, writer, touchedAt: new Date(Date.now() - ageMs), file });
  if (!isThere) await bucket.files.deleteOne({ _id: file._id });
  return file;
}

test('abandon() takes back a commit that broke off, and keeps one that got through', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const [broken, through] = [mintFileId(), mintFileId()];
  await committing(bucket, broken, 20_000, false);
  await committing(bucket, through, 20_000, true);
  for (const id of [broken, through]) await store.abandon(id);
  assert.equal((await store.stat(through))?.sizeBytes, 1_000);
  const writer = await store.create(broken);
  await writer.write(patternBytes(2_000));
  await writer.commit();
  assert.equal((await collect(store.read(broken))).byteLength, 2_000);
  await eventually('the mark is gone', async () => {
    await store.sweep(Date.now() + 60_000);
    return (await bucket.marks.countDocuments()) === 0;
  });
  await bucket.assertTidy();
});

test('abandon() waits for a commit that has just begun', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const file = await committing(bucket, id, 0, false);
  const abandoned = store.abandon(id);
  const first = await Promise.race([abandoned.then(() => 'abandoned'), store.stat(id).then(() => 'waits')]);
  assert.equal(first, 'waits');
  await bucket.files.insertOne(file);
  await abandoned;
  assert.equal((await store.stat(id))?.sizeBytes, 1_000);
});
