import assert from 'node:assert/strict';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { FileInfo } from '../../../src/ports/file-store.ts';
import { collect, patternBytes } from '../../support/bytes.ts';
import { assertNothing, failsWith, ids, KiB, put, type Clause } from './clause.ts';

export function visibility(promise: Clause): void {
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
