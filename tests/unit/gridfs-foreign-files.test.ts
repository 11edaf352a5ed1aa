import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Binary, Long, ObjectId } from 'mongodb';
import { MongoDatabase } from '../../src/adapters/mongodb/client.ts';
import { FileBucket } from '../../src/adapters/mongodb/file-bucket.ts';
import { CHUNK_BYTES } from '../../src/adapters/mongodb/file-documents.ts';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { FileInfo, FileStore } from '../../src/ports/file-store.ts';
import { collect, patternBytes, pieces, streamed } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { testBucket, type TestBucket } from '../support/gridfs.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { storeAll } from '../support/store-all.ts';

// Files of other implementations, which the official driver writes here, and ours in their eyes.

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

/** Writes as another implementation does. */
async function putForeign(bucket: TestBucket, bytes: Uint8Array, chunkSize?: number): Promise<FileId> {
  const id = mintFileId();
  const upload = bucket.official(chunkSize).openUploadStreamWithId(new ObjectId(id), 'a video.mp4');
  upload.end(bytes);
  await once(upload, 'finish');
  return id;
}

function put(store: FileStore, id: FileId, bytes: Uint8Array): Promise<unknown> {
  return storeAll(store, id, streamed(pieces(bytes, 50_000)));
}

async function allOf(store: FileStore): Promise<FileInfo[]> {
  const found: FileInfo[] = [];
  for await (const info of store.list()) found.push(info);
  return found;
}

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => hasCode(error, code);
}

test('files of the official driver are read, whatever their chunk size', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  for (const [size, chunkSize] of [
    [0, 1024],
    [1, 1],
    [4096, 1024],
    [10_000, 1024],
    [700_001, 100_000],
    [3_000_000, 1_000_000],
    [3_000_000, 2_000_000],
    [600_000, undefined],
  ] as const) {
    const bytes = patternBytes(size, size + 1);
    const before = Date.now();
    const id = await putForeign(bucket, bytes, chunkSize);
    const info = await store.stat(id);
    assert.equal(info?.sizeBytes, size);
    assert.ok(info.storedAt >= before - 1 && info.storedAt <= Date.now() + 1);
    assert.ok((await collect(store.read(id))).equals(bytes), `${String(size)} B`);
    assert.ok((await collect(store.read(id, { follow: true }))).equals(bytes));
    const last = size - 1;
    for (const [start, end] of [
      [0, 0],
      [last, last],
      [Math.floor(size / 3), Math.floor(size / 2)],
      [Math.min(1023, last), last],
    ] as const) {
      if (size === 0) continue;
      const range = await collect(store.read(id, { start, end }));
      assert.ok(range.equals(bytes.subarray(start, end + 1)), `${String(start)}-${String(end)}`);
    }
    assert.equal(await store.remove(id), true);
  }
});

test('our files are plain GridFS, and the official driver reads them', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  for (const size of [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 7]) {
    const id = mintFileId();
    const bytes = patternBytes(size, size + 2);
    await put(store, id, bytes);
    assert.ok((await collect(bucket.official().openDownloadStream(new ObjectId(id)))).equals(bytes));
    const file = await bucket.files.findOne({ _id: new ObjectId(id) });
    assert.deepEqual(Object.keys(file ?? {}).sort(), [
      '_id',
      'chunkSize',
      'length',
      'metadata',
      'uploadDate',
    ]);
    assert.equal(file?.chunkSize, 261_120);
    const chunks = await bucket.chunks
      .find({ files_id: new ObjectId(id) })
      .sort({ n: 1 })
      .toArray();
    assert.equal(chunks.length, Math.ceil(size / CHUNK_BYTES));
    for (const [n, chunk] of chunks.entries()) {
      assert.deepEqual(Object.keys(chunk).sort(), ['_id', 'data', 'files_id', 'n']);
      assert.equal(chunk.n, n);
    }
  }
  const [index] = (await bucket.chunks.indexes()).filter(({ key }) => 'files_id' in key);
  assert.deepEqual([index?.key, index?.unique], [{ files_id: 1, n: 1 }, true]);
});

test('the official driver deletes ours, and we remove theirs', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const ours = mintFileId();
  await put(store, ours, patternBytes(600_000));
  await bucket.official().delete(new ObjectId(ours));
  assert.equal(await store.stat(ours), undefined);
  assert.equal(await store.remove(ours), false);

  const theirs = await putForeign(bucket, patternBytes(600_000), 100_000);
  assert.equal(await store.remove(theirs), true);
  assert.equal(await store.remove(theirs), false);
  assert.equal(await store.stat(theirs), undefined);
  await assert.rejects(store.create(theirs), failsWith('file.exists'), 'its chunks are still there');
  assert.equal(await store.sweep(Date.now() + 60_000), 0, 'it was no half-written file');
  await bucket.assertTidy();
  await put(store, theirs, patternBytes(10));
  assert.ok((await collect(store.read(theirs))).equals(patternBytes(10)));
});

test('a range reads no chunk that it does not need', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const size = 20 * CHUNK_BYTES;
  const bytes = patternBytes(size, 3);
  const ours = mintFileId();
  await put(store, ours, bytes);
  const theirs = await putForeign(bucket, bytes, 100_000);
  const start = 7 * CHUNK_BYTES + 5;
  const end = 10 * CHUNK_BYTES;
  for (const id of [ours, theirs]) {
    const _id = new ObjectId(id);
    const { chunkSize = 0 } = (await bucket.files.findOne({ _id })) ?? {};
    const needed = { $gte: Math.floor(start / chunkSize), $lte: Math.floor(end / chunkSize) };
    // Whoever touched another one would fail.
    await bucket.chunks.deleteMany({ files_id: _id, n: { $not: needed } });
    assert.ok((await collect(store.read(id, { start, end }))).equals(bytes.subarray(start, end + 1)));
    await assert.rejects(
      collect(store.read(id, { start: start - chunkSize, end })),
      failsWith('internal.error'),
    );
    await assert.rejects(
      collect(store.read(id, { start, end: end + chunkSize })),
      failsWith('internal.error'),
    );
  }
});

test('a damaged file is an error, and never a shorter one', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const bytes = patternBytes(1_000_000, 5);
  const damage: [string, (_id: ObjectId) => Promise<unknown>][] = [
    ['its last chunk is missing', (_id) => bucket.chunks.deleteOne({ files_id: _id, n: 9 })],
    ['a chunk in the middle is missing', (_id) => bucket.chunks.deleteOne({ files_id: _id, n: 4 })],
    [
      'a chunk is too short',
      (_id) =>
        bucket.chunks.updateOne(
          { files_id: _id, n: 4 },
          { $set: { data: new Binary(Buffer.alloc(99_999)) } },
        ),
    ],
    ['it has no chunk size', (_id) => bucket.files.updateOne({ _id }, { $set: { chunkSize: 0 } })],
    ['its length is none', (_id) => bucket.files.updateOne({ _id }, { $set: { length: -1 } })],
  ];
  for (const [what, change] of damage) {
    const id = await putForeign(bucket, bytes, 100_000);
    await change(new ObjectId(id));
    await assert.rejects(collect(store.read(id)), failsWith('internal.error'), what);
  }
});

test('ids that are no ObjectId, long lengths and missing dates do no harm', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const _id = new ObjectId(id);
  const bare = bucket.files as unknown as { insertOne(doc: object): Promise<unknown> };
  await bare.insertOne({ _id: 'a name', length: 3, chunkSize: 1024, uploadDate: new Date() });
  await bare.insertOne({ _id: 7, length: 3, chunkSize: 1024, uploadDate: new Date() });
  await bare.insertOne({ _id, length: Long.fromNumber(3), chunkSize: 1024 });
  await bucket.chunks.insertOne({
    _id: new ObjectId(),
    files_id: _id,
    n: 0,
    data: new Binary(Buffer.from('abc')),
  });
  const listed = await allOf(store);
  assert.deepEqual(
    listed.map((info) => [info.id, info.sizeBytes]),
    [[id, 3]],
  );
  assert.equal((await collect(store.read(id))).toString(), 'abc');
  assert.equal((await store.stat(id))?.storedAt, _id.getTimestamp().getTime());
});

test('the length of a file of more than 2 GiB is a whole number for everybody', async (t) => {
  const bucket = await testBucket(t, server);
  const database = MongoDatabase.open(bucket.url, { log: recordedLog(), database: 'test' });
  t.after(() => database.close());
  const _id = new ObjectId();
  const length = 3_000_000_000;
  await new FileBucket(database, recordedLog()).insertFile({
    _id,
    length,
    chunkSize: CHUNK_BYTES,
    uploadDate: new Date(),
  });
  const bare = await bucket.files.findOne({ _id }, { promoteLongs: false });
  assert.ok((bare?.length as unknown) instanceof Long);
  const store = await bucket.open();
  assert.equal((await store.stat(_id.toHexString() as FileId))?.sizeBytes, length);
});

test('metadata of other programs is none of ours', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const bytes = patternBytes(5_000);
  for (const metadata of [null, { writer: 'Ann' }]) {
    const id = mintFileId();
    const options = metadata === null ? {} : { metadata };
    const upload = bucket.official(1024).openUploadStreamWithId(new ObjectId(id), 'x', options);
    upload.end(bytes);
    await once(upload, 'finish');
    if (metadata === null) await bucket.files.updateOne({ _id: new ObjectId(id) }, { $set: { metadata } });
    assert.ok((await collect(store.read(id))).equals(bytes));
    assert.equal(await store.remove(id), true);
  }
  await store.sweep(Date.now() + 60_000);
  await bucket.assertTidy();
});

test('list() gives more files than one page holds', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const ids = Array.from({ length: 2_500 }, () => new ObjectId());
  const uploadDate = new Date();
  await bucket.files.insertMany(ids.map((_id) => ({ _id, length: 0, chunkSize: 1024, uploadDate })));
  const listed = await allOf(store);
  assert.deepEqual(
    listed.map((info) => info.id).sort(),
    ids.map((_id) => _id.toHexString()),
  );
});

test('a bucket without its index gets it with the first file, and one that holds chunks twice works without', async (t) => {
  const bucket = await testBucket(t, server);
  const chunk = { files_id: new ObjectId(), n: 0, data: new Binary(Buffer.from('x')) };
  await bucket.chunks.insertMany([
    { _id: new ObjectId(), ...chunk },
    { _id: new ObjectId(), ...chunk },
  ]);
  const store = await bucket.open();
  const id = mintFileId();
  await put(store, id, patternBytes(300_000));
  assert.ok((await collect(store.read(id))).equals(patternBytes(300_000)));
  await eventually('the mark is gone', async () => (await bucket.marks.countDocuments()) === 0);
});
