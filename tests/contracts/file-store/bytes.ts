import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import assert from 'node:assert/strict';
import { mintFileId } from '../../../src/domain/ids.ts';
import { storeAll } from '../../support/store-all.ts';
import { collect, patternBytes } from '../../support/bytes.ts';
import { failsWith, GRID_CHUNK, KiB, put, type Clause, type FileStoreExcuses } from './clause.ts';

/** Bytes held in buffers after a full collection: what is really kept, not what waits for the collector. */
async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // Buffers are freed beside the program after a collection; the second one waits for the first to be through.
  gc();
  await new Promise(setImmediate);
  gc();
  return process.memoryUsage().arrayBuffers;
}

export function roundTrips(promise: Clause, excuses: FileStoreExcuses): void {
  const sizes = [0, 1];
  for (const edge of [64 * KiB, GRID_CHUNK, 256 * KiB]) sizes.push(edge - 1, edge, edge + 1);
  for (const size of sizes) {
    promise(`a file of ${String(size)} B comes back as it was`, async ({ store }) => {
      const id = mintFileId();
      const bytes = patternBytes(size, size);
      const before = Date.now();
      const info = await put(store, id, bytes);
      assert.equal(info.id, id);
      assert.equal(info.sizeBytes, size);
      assert.ok(info.storedAt >= before - 1 && info.storedAt <= Date.now() + 1, 'storedAt is now');
      assert.deepEqual(await store.stat(id), info);
      assert.ok((await collect(store.read(id))).equals(bytes));
    });
  }

  promise('64 MB come back as they were', async ({ store }) => {
    const id = mintFileId();
    const wrote = createHash('sha256');
    const base = await heldBytes();
    let mostHeld = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 64; i += 1) {
        const block = patternBytes(1024 * KiB, i + 1);
        wrote.update(block);
        yield block;
        if (i % 16 === 15) mostHeld = Math.max(mostHeld, (await heldBytes()) - base);
      }
    }
    assert.equal((await storeAll(store, id, source())).sizeBytes, 64 * 1024 * KiB);
    const read = createHash('sha256');
    let count = 0;
    for await (const chunk of store.read(id)) {
      read.update(chunk);
      count += 1;
      if (count % 64 === 0) mostHeld = Math.max(mostHeld, (await heldBytes()) - base);
    }
    assert.equal(read.digest('hex'), wrote.digest('hex'));
    if (excuses.memoryGrows === undefined) {
      assert.ok(mostHeld < 8 * 1024 * KiB, `at most 8 MiB in buffers, not ${String(mostHeld)} B`);
    }
  });

  promise(
    'the bytes are those at the time of write(), though the buffer is used again',
    async ({ store }) => {
      const id = mintFileId();
      const writer = await store.create(id);
      const buffer = Buffer.from('first');
      await writer.write(buffer);
      buffer.fill('x');
      await writer.commit();
      assert.equal((await collect(store.read(id))).toString(), 'first');
    },
  );
}

export function ranges(promise: Clause): void {
  const bytes = patternBytes(600 * KiB + 7, 9);
  const last = bytes.byteLength - 1;
  const cases: [string, { start?: number; end?: number }, Buffer][] = [
    ['the first byte', { start: 0, end: 0 }, bytes.subarray(0, 1)],
    ['the last byte', { start: last }, bytes.subarray(last)],
    [
      'across a chunk boundary',
      { start: GRID_CHUNK - 2, end: 256 * KiB + 2 },
      bytes.subarray(GRID_CHUNK - 2, 256 * KiB + 3),
    ],
    ['from the middle to the end', { start: 300_001 }, bytes.subarray(300_001)],
    ['from the beginning to the middle', { end: 300_001 }, bytes.subarray(0, 300_002)],
    ['an end behind the end', { start: last - 1, end: last + 1000 }, bytes.subarray(last - 1)],
  ];
  promise('a range is read exactly, both ends inclusive', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, bytes);
    for (const [what, range, expected] of cases) {
      assert.ok((await collect(store.read(id, range))).equals(expected), what);
      assert.ok(
        (await collect(store.read(id, { ...range, follow: true }))).equals(expected),
        `${what}, following`,
      );
    }
  });

  promise('a range that begins behind the end is not satisfiable', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, bytes);
    for (const start of [last + 1, last + 1000]) {
      const notSatisfiable = failsWith('file.range-not-satisfiable');
      await assert.rejects(collect(store.read(id, { start })), notSatisfiable);
      await assert.rejects(collect(store.read(id, { start, end: start + 5 })), notSatisfiable);
      await assert.rejects(collect(store.read(id, { start, follow: true })), notSatisfiable);
    }
  });

  promise('all of an empty file is nothing, and no error', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, Buffer.alloc(0));
    assert.equal((await collect(store.read(id, { start: 0 }))).byteLength, 0);
    await assert.rejects(collect(store.read(id, { start: 1 })), failsWith('file.range-not-satisfiable'));
  });

  promise('a range that is none is a TypeError', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, bytes);
    for (const range of [{ start: -1 }, { start: 5, end: 4 }, { start: 0.5 }, { start: Number.NaN }]) {
      await assert.rejects(collect(store.read(id, range)), TypeError);
      await assert.rejects(collect(store.read(id, { ...range, follow: true })), TypeError);
    }
  });
}
