import assert from 'node:assert/strict';
import { mintFileId } from '../../../src/domain/ids.ts';
import { storeAll } from '../../support/store-all.ts';
import type { FileStore, FileWriter } from '../../../src/ports/file-store.ts';
import { collect, patternBytes, pieces, sha256, streamed } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { assertNothing, failsWith, ids, KiB, put, type Clause } from './clause.ts';

export function writing(promise: Clause): void {
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
    function* source(): Generator<Uint8Array> {
      yield patternBytes(500 * KiB);
      throw new Error('the line went dead');
    }
    await assert.rejects(storeAll(store, id, streamed(source())), /the line went dead/);
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
    function* source(): Generator<Uint8Array> {
      try {
        for (let i = 0; ; i += 1) {
          if (i === 5) controller.abort(new Error('the user went away'));
          yield patternBytes(100 * KiB);
        }
      } finally {
        returned = true;
      }
    }
    await assert.rejects(storeAll(store, id, streamed(source()), controller.signal), /the user went away/);
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
    const next = await eventually('the id is free again', () => store.create(id));
    await next.abort();
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
    for (const piece of pieces(bytes, 9_999)) writes.push(writer.write(piece));
    await Promise.all(writes);
    assert.equal(writer.sizeBytes, bytes.byteLength);
    await writer.commit();
    assert.ok((await collect(store.read(id))).equals(bytes));
  });

  promise('a rewritten head is read, with all other bytes as they were', async ({ store }) => {
    const id = mintFileId();
    const bytes = patternBytes(300 * KiB, 4);
    const writer = await store.create(id);
    for (const piece of pieces(bytes, 500)) await writer.write(piece);
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
