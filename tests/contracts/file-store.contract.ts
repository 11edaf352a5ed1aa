import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test, type TestContext } from 'node:test';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import { storeAll } from '../../src/flow/store-all.ts';
import type { FileInfo, FileStore, FileWriter } from '../../src/ports/file-store.ts';
import { collect, inPieces, patternBytes, sha256 } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';

/** One store on fresh data. */
export interface OpenedFileStore {
  readonly store: FileStore;
  /** A second store on the same data, as another process would open it. */
  readonly again?: () => Promise<FileStore>;
  /** Writes some of a file in a process that is then killed; leaves a half-written file of that id behind. */
  readonly crashWhileWriting?: (id: FileId) => Promise<void>;
}

/** Why an adapter is let off a promise. */
export interface FileStoreExcuses {
  /** Nothing outlives the process: `again` and `crashWhileWriting` do not exist. */
  readonly onlyInThisProcess?: string;
  /** Everything is kept in memory, so memory grows with the files. */
  readonly memoryGrows?: string;
}

const KiB = 1024;
const GRID_CHUNK = 255 * KiB;

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  };
}

function put(store: FileStore, id: FileId, bytes: Uint8Array): Promise<FileInfo> {
  return storeAll(store, id, inPieces(bytes, 60_000));
}

async function ids(store: FileStore): Promise<string[]> {
  const found: string[] = [];
  for await (const info of store.list()) found.push(info.id);
  return found.sort();
}

async function assertNothing(store: FileStore, id: FileId): Promise<void> {
  assert.equal(await store.stat(id), undefined);
  await assert.rejects(collect(store.read(id)), failsWith('file.unknown'));
  await assert.rejects(collect(store.read(id, { follow: true })), failsWith('file.unknown'));
  assert.deepEqual(await ids(store), []);
}

/** A follower that runs beside the test; `bytes` is what has come so far. */
function startFollower(store: FileStore, id: FileId, signal?: AbortSignal) {
  const seen: Uint8Array[] = [];
  const done = (async () => {
    const options = signal === undefined ? { follow: true } : { follow: true, signal };
    for await (const chunk of store.read(id, options)) seen.push(chunk);
  })();
  done.catch(() => undefined);
  return { done, bytes: () => Buffer.concat(seen) };
}

function sawAll(follower: { bytes(): Buffer }, expected: Uint8Array): Promise<unknown> {
  return eventually('the follower has every byte written so far', () => follower.bytes().equals(expected));
}

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

export function fileStoreContract(
  name: string,
  open: (t: TestContext) => Promise<OpenedFileStore>,
  excuses: FileStoreExcuses = {},
): void {
  const promise = (title: string, body: (opened: OpenedFileStore, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 120_000 }, async (t) => {
      const opened = await open(t);
      t.after(() => opened.store.close());
      await body(opened, t);
    });
  };

  roundTrips(promise, excuses);
  ranges(promise);
  visibility(promise);
  writing(promise);
  following(promise);
  if (excuses.onlyInThisProcess === undefined) durability(promise);
}

type Clause = (title: string, body: (opened: OpenedFileStore, t: TestContext) => Promise<void>) => void;

function roundTrips(promise: Clause, excuses: FileStoreExcuses): void {
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

function ranges(promise: Clause): void {
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

function visibility(promise: Clause): void {
  promise('an unknown id is nothing', async ({ store }) => {
    await assertNothing(store, mintFileId());
    assert.equal(await store.remove(mintFileId()), false);
    assert.equal(await store.localPath?.(mintFileId()), undefined);
  });

  promise('a malformed id is refused and never becomes a path', async ({ store }) => {
    for (const id of [
      '../../etc/passwd',
      '',
      'ABCDEFABCDEFABCDEFABCDEF',
      `${mintFileId()}/x`,
      `${mintFileId()}\n`,
    ]) {
      const bad = id as FileId;
      await assert.rejects(store.create(bad), TypeError);
      await assert.rejects(store.stat(bad), TypeError);
      await assert.rejects(store.remove(bad), TypeError);
      await assert.rejects(collect(store.read(bad)), TypeError);
      await assert.rejects(collect(store.read(bad, { follow: true })), TypeError);
    }
    assert.deepEqual(await ids(store), []);
  });

  promise('a half-written file is invisible in stat, read, list and remove', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(patternBytes(300 * KiB));
    assert.equal(await store.stat(id), undefined);
    await assert.rejects(collect(store.read(id)), failsWith('file.unknown'));
    assert.deepEqual(await ids(store), []);
    assert.equal(await store.localPath?.(id), undefined);
    assert.equal(await store.remove(id), false);
    await writer.commit();
    assert.deepEqual(await ids(store), [id]);
  });

  promise('list() gives every whole file once, with its facts', async ({ store }) => {
    const stored = await Promise.all(
      Array.from({ length: 20 }, (_, i) => put(store, mintFileId(), patternBytes(i))),
    );
    const unfinished = await store.create(mintFileId());
    const listed: FileInfo[] = [];
    for await (const info of store.list()) listed.push(info);
    const byId = (a: FileInfo, b: FileInfo): number => (a.id < b.id ? -1 : 1);
    assert.deepEqual(listed.sort(byId), stored.sort(byId));
    await unfinished.abort();
  });

  promise('a removed file is gone, and its id can be used again', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, Buffer.from('one'));
    assert.equal(await store.remove(id), true);
    await assertNothing(store, id);
    assert.equal(await store.remove(id), false);
    await put(store, id, Buffer.from('two'));
    assert.equal((await collect(store.read(id))).toString(), 'two');
  });

  promise('a reader that has begun gets all bytes though the file is removed', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(2000 * KiB);
    await put(store, id, bytes);
    for (const follow of [false, true]) {
      const reader = store.read(id, { follow })[Symbol.asyncIterator]();
      const first = await reader.next();
      assert.ok(first.done !== true);
      if (follow) assert.equal(await store.remove(id), true);
      const rest = await collect({ [Symbol.asyncIterator]: () => reader });
      assert.ok(Buffer.concat([first.value, rest]).equals(bytes), `follow: ${String(follow)}`);
    }
  });

  promise('a store that answers passes its check', async ({ store }) => {
    await store.check();
    const free = await store.freeBytes();
    assert.ok(free === undefined || (Number.isSafeInteger(free) && free > 0));
  });
}

function writing(promise: Clause): void {
  promise('of two creates of one id exactly one gets it', async ({ store, again }) => {
    const other = (await again?.()) ?? store;
    for (let round = 0; round < 20; round += 1) {
      const id = mintFileId();
      const results = await Promise.allSettled([store.create(id), other.create(id), store.create(id)]);
      const writers = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
      assert.equal(writers.length, 1);
      for (const result of results) {
        if (result.status === 'rejected') failsWith('file.exists')(result.reason);
      }
      await writers[0]?.commit();
      await assert.rejects(other.create(id), failsWith('file.exists'));
      assert.equal((await store.stat(id))?.sizeBytes, 0, 'the refused create left the whole file alone');
    }
    if (other !== store) await other.close();
  });

  promise('a source that breaks leaves nothing, and its error comes through', async ({ store }) => {
    const id = mintFileId();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield patternBytes(500 * KiB);
      throw new Error('the line went dead');
    }
    await assert.rejects(storeAll(store, id, source()), /the line went dead/);
    await assertNothing(store, id);
    await put(store, id, Buffer.from('again'));
  });

  promise('when the store stops taking bytes, the source is told to stop', async ({ store }) => {
    const id = mintFileId();
    let returned = false;
    let writer: FileWriter | undefined;
    const spied: FileStore = Object.create(store, {
      create: { value: async () => (writer = await store.create(id)) },
    }) as FileStore;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield patternBytes(100 * KiB);
          await writer?.abort();
        }
      } finally {
        returned = true;
      }
    }
    await assert.rejects(storeAll(spied, id, source()), failsWith('file.abandoned'));
    assert.ok(returned);
    await assertNothing(store, id);
  });

  promise('a signal that fires leaves nothing, and its reason comes through', async ({ store }) => {
    const id = mintFileId();
    const controller = new AbortController();
    let returned = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (let i = 0; ; i += 1) {
          if (i === 5) controller.abort(new Error('the user went away'));
          yield patternBytes(100 * KiB);
        }
      } finally {
        returned = true;
      }
    }
    await assert.rejects(storeAll(store, id, source(), controller.signal), /the user went away/);
    assert.ok(returned);
    await assertNothing(store, id);
  });

  promise('a signal removes the file though its writer does nothing any more', async ({ store }) => {
    const id = mintFileId();
    const controller = new AbortController();
    const writer = await store.create(id, { signal: controller.signal });
    await writer.write(patternBytes(1000));
    controller.abort(new Error('enough'));
    await assert.rejects(writer.write(patternBytes(1)), /enough/);
    await assert.rejects(writer.commit(), /enough/);
    await writer.abort();
    await assertNothing(store, id);
    await assert.rejects(store.create(id, { signal: controller.signal }), /enough/);
    await assertNothing(store, id);
  });

  promise('abort() leaves nothing and may be repeated', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(patternBytes(300 * KiB));
    await Promise.all([writer.abort(), writer.abort()]);
    await writer.abort();
    await assertNothing(store, id);
    await assert.rejects(writer.write(patternBytes(1)), failsWith('file.abandoned'));
    await assert.rejects(writer.commit(), failsWith('file.abandoned'));
    await assertNothing(store, id);
  });

  promise('abort() and a late signal are harmless after commit()', async ({ store }) => {
    const id = mintFileId();
    const controller = new AbortController();
    const writer = await store.create(id, { signal: controller.signal });
    await writer.write(Buffer.from('kept'));
    await writer.commit();
    await writer.abort();
    controller.abort();
    await writer.abort();
    assert.equal((await collect(store.read(id))).toString(), 'kept');
  });

  promise('nothing can be written after commit()', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(Buffer.from('done'));
    await writer.commit();
    await assert.rejects(writer.write(Buffer.from('more')), TypeError);
    await assert.rejects(writer.rewriteHead(Buffer.from('m')), TypeError);
    await assert.rejects(writer.commit(), TypeError);
    assert.equal((await collect(store.read(id))).toString(), 'done');
  });

  promise('writes that are not waited for keep their order', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(700 * KiB, 3);
    const writer = await store.create(id);
    const writes: Promise<void>[] = [];
    for await (const piece of inPieces(bytes, 9_999)) writes.push(writer.write(piece));
    await Promise.all(writes);
    assert.equal(writer.sizeBytes, bytes.byteLength);
    await writer.commit();
    assert.ok((await collect(store.read(id))).equals(bytes));
  });

  promise('a rewritten head is read, with all other bytes as they were', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(300 * KiB, 4);
    const writer = await store.create(id);
    for await (const piece of inPieces(bytes, 500)) await writer.write(piece);
    await writer.rewriteHead(Buffer.alloc(1_700, 'a'));
    await writer.rewriteHead(Buffer.alloc(1_044, 'b'));
    await writer.write(Buffer.from('tail'));
    assert.equal(writer.sizeBytes, bytes.byteLength + 4);
    await writer.commit();
    const expected = Buffer.concat([bytes, Buffer.from('tail')]);
    expected.fill('a', 0, 1_700).fill('b', 0, 1_044);
    assert.equal(sha256(await collect(store.read(id))), sha256(expected));
  });

  promise(
    'a head longer than what was written is a TypeError, and the file can still be committed',
    async ({ store }) => {
      const id = mintFileId();
      const writer = await store.create(id);
      await writer.write(Buffer.from('abc'));
      await assert.rejects(writer.rewriteHead(Buffer.from('wxyz')), TypeError);
      await writer.rewriteHead(Buffer.from('xyz'));
      await writer.commit();
      assert.equal((await collect(store.read(id))).toString(), 'xyz');
    },
  );

  promise('sweep() leaves whole files and fresh ones alone', async ({ store }) => {
    const id = mintFileId();
    await put(store, mintFileId(), Buffer.from('whole'));
    const before = Date.now() - 60_000;
    const writer = await store.create(id);
    await writer.write(Buffer.from('fresh'));
    assert.equal(await store.sweep(before), 0);
    await writer.commit();
    assert.equal(await store.sweep(Date.now() + 60_000), 0);
    assert.equal((await ids(store)).length, 2);
  });
}

function following(promise: Clause): void {
  promise('a follower gets what there is, then what comes, and ends at commit', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(900 * KiB, 5);
    const writer = await store.create(id);
    await writer.write(bytes.subarray(0, 400_000));
    const follower = startFollower(store, id);
    await sawAll(follower, bytes.subarray(0, 400_000));
    await writer.write(bytes.subarray(400_000));
    await sawAll(follower, bytes);
    await writer.commit();
    await follower.done;
    assert.ok(follower.bytes().equals(bytes));
  });

  promise('several followers, early and late, each get every byte', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(1500 * KiB, 6);
    const writer = await store.create(id);
    const followers = [startFollower(store, id)];
    for await (const piece of inPieces(bytes, 50_000)) {
      await writer.write(piece);
      if (writer.sizeBytes % 500_000 === 0) followers.push(startFollower(store, id));
    }
    await writer.commit();
    followers.push(startFollower(store, id));
    for (const follower of followers) {
      await follower.done;
      assert.ok(follower.bytes().equals(bytes));
    }
    assert.ok(followers.length >= 4);
  });

  promise(
    'a follower misses no byte however the last write and the commit fall',
    async ({ store, again }) => {
      const other = (await again?.()) ?? store;
      for (let round = 0; round < 60; round += 1) {
        const id = mintFileId();
        const bytes = patternBytes(4_000 + round, round + 1);
        const writer = await store.create(id);
        const followers = [startFollower(store, id), startFollower(other, id)];
        for await (const piece of inPieces(bytes, 1_000)) await writer.write(piece);
        await writer.commit();
        for (const follower of followers) {
          await follower.done;
          assert.ok(follower.bytes().equals(bytes));
        }
      }
      if (other !== store) await other.close();
    },
  );

  promise('a follower of an aborted file gets file.abandoned', async ({ store, again }) => {
    const other = (await again?.()) ?? store;
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(patternBytes(1_000));
    const followers = [startFollower(store, id), startFollower(other, id)];
    for (const follower of followers) await sawAll(follower, patternBytes(1_000));
    await writer.abort();
    for (const follower of followers) await assert.rejects(follower.done, failsWith('file.abandoned'));
    if (other !== store) await other.close();
  });

  promise('a follower of a whole file reads it and ends', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(300 * KiB, 7);
    await put(store, id, bytes);
    assert.ok((await collect(store.read(id, { follow: true }))).equals(bytes));
  });

  promise('a follower of an empty file ends at commit', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    const follower = startFollower(store, id);
    await writer.commit();
    await follower.done;
    assert.equal(follower.bytes().byteLength, 0);
  });

  promise('a follower whose range is complete ends without waiting for the commit', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(Buffer.from('0123456789'));
    const range = await collect(store.read(id, { follow: true, start: 2, end: 5 }));
    assert.equal(range.toString(), '2345');
    await writer.abort();
  });

  promise('a follower waits for a range that has not been written yet', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(Buffer.from('01234'));
    const within = collect(store.read(id, { follow: true, start: 7, end: 8 }));
    const behind = collect(store.read(id, { follow: true, start: 10 }));
    behind.catch(() => undefined);
    await writer.write(Buffer.from('56789'));
    assert.equal((await within).toString(), '78');
    await writer.commit();
    await assert.rejects(behind, failsWith('file.range-not-satisfiable'));
  });

  promise('a follower that waits ends at once when its signal fires', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(Buffer.from('abc'));
    const controller = new AbortController();
    const follower = startFollower(store, id, controller.signal);
    await sawAll(follower, Buffer.from('abc'));
    controller.abort(new Error('no more'));
    await assert.rejects(follower.done, /no more/);
    await writer.commit();
  });

  promise('a reader stops between two chunks when its signal fires', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, patternBytes(2000 * KiB));
    const controller = new AbortController();
    const read = async (): Promise<void> => {
      for await (const chunk of store.read(id, { signal: controller.signal })) {
        assert.ok(chunk.byteLength < 2000 * KiB);
        controller.abort(new Error('no more'));
      }
    };
    await assert.rejects(read(), /no more/);
    await assert.rejects(collect(store.read(id, { signal: controller.signal })), /no more/);
  });

  promise('a reader that is left early lets go, and the file stays', async ({ store }) => {
    const id = mintFileId();
    await put(store, id, patternBytes(2000 * KiB));
    for (let round = 0; round < 50; round += 1) {
      for await (const chunk of store.read(id, { follow: round % 2 === 0 })) {
        assert.ok(chunk.byteLength > 0);
        break;
      }
    }
    assert.equal((await store.stat(id))?.sizeBytes, 2000 * KiB);
  });
}

function durability(promise: Clause): void {
  promise('a store that is opened again shows the same files', async ({ store, again }) => {
    assert.ok(again);
    const id = mintFileId();
    const bytes = patternBytes(300 * KiB, 8);
    const info = await put(store, id, bytes);
    await store.close();
    const reopened = await again();
    assert.deepEqual(await reopened.stat(id), info);
    assert.deepEqual(await ids(reopened), [id]);
    assert.ok((await collect(reopened.read(id))).equals(bytes));
    await reopened.close();
  });

  promise('closing gives up what is being written', async ({ store, again }) => {
    assert.ok(again);
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(Buffer.from('half'));
    await store.close();
    await assert.rejects(writer.commit(), failsWith('file.abandoned'));
    const reopened = await again();
    await assertNothing(reopened, id);
    await reopened.close();
  });

  promise(
    'a writer whose process is killed leaves nothing visible, and sweep() removes its bytes',
    async (opened) => {
      const { store, crashWhileWriting } = opened;
      assert.ok(crashWhileWriting);
      const id = mintFileId();
      await crashWhileWriting(id);
      assert.equal(await store.stat(id), undefined);
      await assert.rejects(collect(store.read(id)), failsWith('file.unknown'));
      assert.deepEqual(await ids(store), []);
      await assert.rejects(store.create(id), failsWith('file.exists'), 'its id is still taken');

      const follower = startFollower(store, id);
      await eventually(
        'the follower sees the bytes of the dead writer',
        () => follower.bytes().byteLength > 0,
      );
      assert.equal(await store.sweep(Date.now() - 600_000), 0, 'too fresh to be swept');
      assert.equal(await store.sweep(Date.now() + 60_000), 1);
      await assert.rejects(follower.done, failsWith('file.abandoned'));
      assert.equal(await store.sweep(Date.now() + 60_000), 0);
      await put(store, id, Buffer.from('again'));
    },
  );
}
