import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Binary, ObjectId } from 'mongodb';
import {
  CHUNK_BYTES,
  chunkIdOf,
  type FileDocument,
  type WriterId,
} from '../../src/adapters/mongodb/file-documents.ts';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { FileStore } from '../../src/ports/file-store.ts';
import { collect, patternBytes, pieces, streamed } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { testBucket, type TestBucket } from '../support/gridfs.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { storeAll } from '../support/store-all.ts';

// What processes leave that die, pause or are overtaken between any two of their writes.

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

const HOUR_MS = 3_600_000;
const soon = (): number => Date.now() + 60_000;

function put(store: FileStore, id: FileId, bytes: Uint8Array): Promise<unknown> {
  return storeAll(store, id, streamed(pieces(bytes, 50_000)));
}

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  };
}

function marksGone(bucket: TestBucket): Promise<unknown> {
  return eventually('no mark is left', async () => (await bucket.marks.countDocuments()) === 0);
}

async function writerIn(bucket: TestBucket, id: FileId): Promise<WriterId> {
  const writer = (await bucket.marks.findOne({ _id: new ObjectId(id) }))?.writer;
  assert.ok(writer !== undefined);
  return writer;
}

/** The only whole file, and who wrote it. */
async function theFile(bucket: TestBucket): Promise<{ file: FileDocument; writer: WriterId }> {
  const file = await bucket.files.findOne({});
  const writer = file?.metadata?.audiowaveWriter;
  assert.ok(file !== null && writer !== undefined);
  return { file, writer };
}

test('a writer that was swept can never commit', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const id = mintFileId();
  const writer = await mine.create(id);
  await writer.write(patternBytes(600_000));
  assert.equal(await other.sweep(soon()), 1);
  await assert.rejects(writer.commit(), failsWith('file.abandoned'));
  assert.equal(await other.stat(id), undefined);
  await writer.abort();
  assert.equal(await other.sweep(soon()), 0);
  await bucket.assertTidy();
});

test('a writer that was swept learns it while its source goes on', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const writer = await mine.create(mintFileId());
  await writer.write(patternBytes(1_000));
  assert.equal(await other.sweep(soon()), 1);
  await eventually('a write fails', () =>
    writer.write(patternBytes(1)).then(
      () => false,
      (error: unknown) => hasCode(error, 'file.abandoned'),
    ),
  );
  await writer.abort();
});

test('a swept writer and the next one of the same id do not mix', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const id = mintFileId();
  const old = await mine.create(id);
  await old.write(patternBytes(600_000, 1));
  assert.equal(await other.sweep(soon()), 1);
  const next = await other.create(id);
  // Written by the old one before it learns of its end: they stand where the next one wants to write.
  const late = (n: number, writer: WriterId): Promise<unknown> =>
    bucket.chunks.insertOne({
      _id: chunkIdOf(writer, n),
      files_id: new ObjectId(id),
      n,
      data: new Binary(Buffer.from('late')),
    });
  const oldWriter = (await bucket.marks.findOne({}))?.leftovers?.[0]?.writer;
  assert.ok(typeof oldWriter === 'string');
  await late(0, oldWriter);
  await late(1, oldWriter);
  const bytes = patternBytes(700_000, 2);
  for (const piece of pieces(bytes, 50_000)) await next.write(piece);
  await next.commit();
  await assert.rejects(old.commit(), failsWith('file.abandoned'));
  await old.abort();
  await late(7, oldWriter);
  assert.ok((await collect(other.read(id))).equals(bytes));
  assert.equal(await other.sweep(soon()), 0);
  assert.ok((await collect(other.read(id))).equals(bytes));
  assert.equal(
    await bucket.chunks.countDocuments({ files_id: new ObjectId(id) }),
    3,
    'the late ones are gone',
  );
  await bucket.assertTidy();
});

test('chunks that a dying writer sends after the sweep are found by a later one', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const id = mintFileId();
  const writer = await mine.create(id);
  await writer.write(patternBytes(300_000));
  const writerId = await writerIn(bucket, id);
  assert.equal(await other.sweep(soon()), 1);
  const files_id = new ObjectId(id);
  assert.equal(await bucket.chunks.countDocuments({ files_id }), 0);
  const data = new Binary(Buffer.alloc(CHUNK_BYTES));
  await bucket.chunks.insertOne({ _id: chunkIdOf(writerId, 9), files_id, n: 9, data });
  assert.equal(await other.sweep(Date.now() - HOUR_MS), 0);
  assert.equal(await bucket.chunks.countDocuments({ files_id }), 1, 'too early for the second sweep');
  assert.equal(await other.sweep(soon()), 0);
  await bucket.assertTidy();
  await writer.abort();
});

test('a living writer is not swept, however slow its source is', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const id = mintFileId();
  const writer = await mine.create(id);
  await writer.write(patternBytes(100));
  // As if it had begun an hour ago.
  const _id = new ObjectId(id);
  await bucket.marks.updateOne({ _id }, { $set: { touchedAt: new Date(Date.now() - HOUR_MS) } });
  assert.equal(await mine.sweep(Date.now() - 60_000), 0, 'not by its own process');
  await eventually('the writer says that it lives', async () => {
    const mark = await bucket.marks.findOne({ _id });
    return mark?.touchedAt !== undefined && mark.touchedAt.getTime() > Date.now() - 60_000;
  });
  assert.equal(await other.sweep(Date.now() - 60_000), 0);
  await writer.commit();
  assert.ok((await collect(other.read(id))).equals(patternBytes(100)));
});

test('a file whose writer died just after it was visible stays, and its mark goes', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const bytes = patternBytes(300_000);
  await put(store, id, bytes);
  await marksGone(bucket);
  const { file, writer } = await theFile(bucket);
  await bucket.marks.insertOne({ _id: file._id, writer, touchedAt: new Date(), file });
  await assert.rejects(store.create(id), failsWith('file.exists'));
  assert.equal(await store.sweep(soon()), 0);
  await bucket.assertTidy();
  assert.ok((await collect(store.read(id))).equals(bytes));

  // The same, removed before the sweep: a mark that says "whole" does not keep it.
  await bucket.marks.insertOne({ _id: file._id, writer, touchedAt: new Date(), file });
  assert.equal(await store.remove(id), true);
  assert.equal(await store.sweep(soon()), 0);
  await bucket.assertTidy();
});

test('a file whose writer died just before it was visible goes, but not in the moment of its commit', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const id = mintFileId();
  await put(mine, id, patternBytes(300_000));
  await marksGone(bucket);
  const { file, writer } = await theFile(bucket);
  await bucket.files.deleteOne({ _id: file._id });
  await bucket.marks.insertOne({ _id: file._id, writer, touchedAt: new Date(), file });
  assert.equal(await other.sweep(soon()), 0);
  assert.equal(await bucket.chunks.countDocuments({}), 2);
  await bucket.marks.updateOne({ _id: file._id }, { $set: { touchedAt: new Date(Date.now() - 16_000) } });
  assert.equal(await other.sweep(soon()), 1);
  // Its document comes late, against all odds: the next sweep finds it.
  await bucket.files.insertOne(file);
  assert.equal(await other.sweep(soon()), 0);
  assert.equal(await other.stat(id), undefined);
  await bucket.assertTidy();
});

test('a removed file keeps its bytes for those who read it, until it is swept', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const bytes = patternBytes(30 * CHUNK_BYTES, 4);
  await put(store, id, bytes);
  const quick = store.read(id)[Symbol.asyncIterator]();
  const slow = store.read(id)[Symbol.asyncIterator]();
  const first = await quick.next();
  await slow.next();
  assert.equal(await store.remove(id), true);
  assert.equal(await store.stat(id), undefined);
  assert.equal(await store.sweep(Date.now() - HOUR_MS), 0);
  assert.ok(first.done !== true);
  const rest = await collect({ [Symbol.asyncIterator]: () => quick });
  assert.ok(Buffer.concat([first.value, rest]).equals(bytes));
  assert.equal(await store.sweep(soon()), 0);
  await assert.rejects(collect({ [Symbol.asyncIterator]: () => slow }), failsWith('file.unknown'));
  await bucket.assertTidy();
});

test('a reader never gets bytes of the next file of the same id', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  await put(store, id, patternBytes(30 * CHUNK_BYTES, 1));
  const reader = store.read(id)[Symbol.asyncIterator]();
  await reader.next();
  await store.remove(id);
  const bytes = patternBytes(30 * CHUNK_BYTES, 2);
  await put(store, id, bytes);
  await assert.rejects(collect({ [Symbol.asyncIterator]: () => reader }), failsWith('file.unknown'));
  assert.ok((await collect(store.read(id))).equals(bytes));
  assert.equal(await store.sweep(soon()), 0);
  assert.ok((await collect(store.read(id))).equals(bytes));
  await bucket.assertTidy();
});

test('a removal that broke off is carried out by the sweep', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  await put(store, id, patternBytes(600_000));
  await marksGone(bucket);
  const { file, writer } = await theFile(bucket);
  await bucket.marks.insertOne({ _id: file._id, leftovers: [{ writer, since: new Date(), file }] });
  assert.equal(await store.sweep(Date.now() - HOUR_MS), 0);
  assert.ok((await store.stat(id)) !== undefined);
  assert.equal(await store.sweep(soon()), 0);
  assert.equal(await store.stat(id), undefined);
  await bucket.assertTidy();
});

test('a file that is whole, removed and swept at once by many is gone once', async (t) => {
  const bucket = await testBucket(t, server);
  const stores = [await bucket.open(), await bucket.open(), await bucket.open()];
  for (let round = 0; round < 10; round += 1) {
    const id = mintFileId();
    await put(stores[round % 3] as FileStore, id, patternBytes(1_000));
    const removed = await Promise.all(stores.map((store) => store.remove(id)));
    assert.equal(removed.filter(Boolean).length, 1);
  }
  await Promise.all(stores.map((store) => store.sweep(soon())));
  await bucket.assertTidy();
});

test('sweeps, commits and aborts at the same time leave whole files or nothing', async (t) => {
  const bucket = await testBucket(t, server);
  const [mine, other] = [await bucket.open(), await bucket.open()];
  const kept = new Map<FileId, Buffer>();
  let swept = 0;
  const lanes = Array.from({ length: 8 }, async (_, lane) => {
    for (let round = 0; round < 10; round += 1) {
      const id = mintFileId();
      const bytes = patternBytes(1_000 + lane * 70_000, round + 1);
      const writer = await mine.create(id);
      // The first lane sweeps whatever the others are at, and from its second round on what it writes itself.
      if (lane === 0 && round > 0) swept += await other.sweep(soon());
      try {
        for (const piece of pieces(bytes, 60_000)) await writer.write(piece);
        if (round % 4 < 3) await writer.commit().then(() => kept.set(id, bytes));
      } catch (error) {
        failsWith('file.abandoned')(error);
      }
      await writer.abort();
    }
  });
  await Promise.all(lanes);
  assert.ok(swept > 0 && kept.size > 0, 'each won sometimes');
  const found: FileId[] = [];
  for await (const { id } of other.list()) found.push(id);
  assert.deepEqual(found.sort(), [...kept.keys()].sort());
  for (const [id, bytes] of kept) assert.ok((await collect(other.read(id))).equals(bytes));
  await other.sweep(soon());
  await other.sweep(soon());
  await bucket.assertTidy();
});
