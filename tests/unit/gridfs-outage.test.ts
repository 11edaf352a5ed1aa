import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { FileBucket } from '../../src/adapters/mongodb/file-bucket.ts';
import { mintWriterId, objectIdOf } from '../../src/adapters/mongodb/file-documents.ts';
import type { FileMarks } from '../../src/adapters/mongodb/file-marks.ts';
import { GridFsFileWriter } from '../../src/adapters/mongodb/file-writer.ts';
import { AudiowaveError, hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import { mintFileId } from '../../src/domain/ids.ts';
import { collect, patternBytes, pieces, sha256, streamed } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { testBucket } from '../support/gridfs.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { storeAll } from '../support/store-all.ts';

// A server that dies, and what a process may take of memory and time meanwhile.

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

const soon = (): number => Date.now() + 60_000;

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  };
}

/** Whatever becomes of a test, the next one finds the server alive. */
async function kill(t: TestContext): Promise<{ readonly restart: () => Promise<void> }> {
  let isDead = true;
  const restart = async (): Promise<void> => {
    if (isDead) await server.restart();
    isDead = false;
  };
  t.after(restart);
  await server.kill();
  return { restart };
}

test('a writer goes on after the server was killed in the middle and came back', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const bytes = patternBytes(8_000_000, 1);
  const writer = await store.create(id);
  await writer.write(bytes.subarray(0, 3_000_000));
  const { restart } = await kill(t);
  const rest = (async () => {
    for (const piece of pieces(bytes.subarray(3_000_000), 100_000)) await writer.write(piece);
    return writer.commit();
  })();
  await restart();
  assert.equal((await rest).sizeBytes, bytes.byteLength);
  assert.equal(sha256(await collect(store.read(id))), sha256(bytes));
  assert.equal(await bucket.chunks.countDocuments({}), Math.ceil(bytes.byteLength / 261_120));
  await store.sweep(soon());
  await bucket.assertTidy();
});

test('a writer whose server stays away fails in bounded time, and what it wrote goes when the server is back', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const writer = await store.create(id);
  await writer.write(patternBytes(3_000_000));
  const { restart } = await kill(t);
  const began = performance.now();
  const writing = (async () => {
    for (;;) await writer.write(patternBytes(100_000));
  })();
  await assert.rejects(writing, failsWith('store.unavailable'));
  await assert.rejects(writer.commit(), failsWith('store.unavailable'));
  await assert.rejects(writer.abort(), failsWith('store.unavailable'));
  assert.ok(performance.now() - began < 40_000, 'it hung');
  await restart();
  await eventually('its bytes are gone', async () => (await bucket.chunks.countDocuments({})) === 0, 30_000);
  await eventually('the id is free', async () => (await store.create(id)).abort().then(() => true));
  assert.equal(await store.stat(id), undefined);
  await store.sweep(soon());
  await bucket.assertTidy();
});

test('a reader goes on after the server was killed in the middle and came back', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const bytes = patternBytes(12_000_000, 2);
  await storeAll(store, id, streamed(pieces(bytes, 100_000)));
  const reader = store.read(id)[Symbol.asyncIterator]();
  const first = await reader.next();
  assert.ok(first.done !== true);
  const { restart } = await kill(t);
  const rest = collect({ [Symbol.asyncIterator]: () => reader });
  rest.catch(() => undefined);
  await restart();
  assert.ok(Buffer.concat([first.value, await rest]).equals(bytes));
});

test('every call fails in bounded time while the server is away', async (t) => {
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  await storeAll(store, id, streamed(pieces(patternBytes(12_000_000), 100_000)));
  const reader = store.read(id)[Symbol.asyncIterator]();
  await reader.next();
  await kill(t);
  const began = performance.now();
  const calls = [
    store.stat(id),
    store.create(mintFileId()),
    store.remove(id),
    store.sweep(soon()),
    store.check(),
    collect(store.read(id)),
    collect(store.read(id, { follow: true })),
    store.list()[Symbol.asyncIterator]().next(),
  ];
  for (const call of calls) call.catch(() => undefined);
  for (const call of calls) await assert.rejects(call, failsWith('store.unavailable'));
  assert.ok(performance.now() - began < 10_000, 'a call hung');
  const reading = collect({ [Symbol.asyncIterator]: () => reader });
  await assert.rejects(reading, failsWith('store.unavailable'), 'a reader never ends short');
  await store.close();
  assert.ok(performance.now() - began < 40_000, 'a call hung');
});

test('a store that is full refuses at once, and nothing is committed', async () => {
  const id = mintFileId();
  const full = new AudiowaveError('store.full');
  const calls: string[] = [];
  const noting = (name: string, answer: unknown) => (): Promise<unknown> => {
    calls.push(name);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  const bucket = { insertChunk: noting('insert', full), deleteChunks: noting('delete', undefined) };
  const marks = { release: noting('release', undefined) };
  const ends: string[] = [];
  const writer = new GridFsFileWriter({
    id,
    writing: { id: objectIdOf(id), writer: mintWriterId() },
    bucket: bucket as unknown as FileBucket,
    marks: marks as unknown as FileMarks,
    signal: undefined,
    onEnd: (end) => ends.push(end),
  });
  const writing = (async () => {
    for (;;) await writer.write(patternBytes(300_000));
  })();
  await assert.rejects(writing, failsWith('store.full'));
  await assert.rejects(writer.commit(), failsWith('store.full'));
  await writer.abort();
  assert.ok(calls.length <= 6, 'no insert was tried again');
  assert.deepEqual(calls.slice(-2), ['delete', 'release']);
  assert.deepEqual(ends, ['gone']);
});

test('300 MB take a few chunks of memory, both ways', async (t) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const held = async (): Promise<number> => {
    gc();
    await new Promise(setImmediate);
    gc();
    const { external, heapUsed } = process.memoryUsage();
    return external + heapUsed;
  };
  const bucket = await testBucket(t, server);
  const store = await bucket.open();
  const id = mintFileId();
  const block = patternBytes(1_000_000, 3);
  const base = await held();
  let most = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 300; i += 1) {
      yield block;
      if (i % 20 === 19) most = Math.max(most, (await held()) - base);
    }
  }
  await storeAll(store, id, source());
  let size = 0;
  let count = 0;
  for await (const chunk of store.read(id)) {
    size += chunk.byteLength;
    count += 1;
    if (count % 100 === 0) most = Math.max(most, (await held()) - base);
  }
  assert.equal(size, 300_000_000);
  assert.ok(most < 16_000_000, `16 MB at most, not ${String(most)}`);
});

test('many writers at once, and their readers', async (t) => {
  const bucket = await testBucket(t, server);
  const [store, other] = [await bucket.open(), await bucket.open()];
  const files = Array.from({ length: 60 }, (_, i) => ({
    id: mintFileId(),
    bytes: patternBytes(i * 17_000, i + 1),
  }));
  await Promise.all(files.map(({ id, bytes }) => storeAll(store, id, streamed(pieces(bytes, 7_000)))));
  await Promise.all(
    files.map(async ({ id, bytes }) => {
      assert.equal(sha256(await collect(other.read(id))), sha256(bytes));
    }),
  );
  await eventually('no mark is left', async () => (await bucket.marks.countDocuments()) === 0);
  await bucket.assertTidy();
});
