import assert from 'node:assert/strict';
import { open, readdir, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { diskError } from '../../src/adapters/disk/disk-errors.ts';
import { DiskFileStore } from '../../src/adapters/disk/file-store.ts';
import { DiskFileWriter } from '../../src/adapters/disk/file-writer.ts';
import { Folders } from '../../src/adapters/disk/folders.ts';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { FileWriter } from '../../src/ports/file-store.ts';
import { storeAll } from '../support/store-all.ts';
import { collect, patternBytes, pieces, streamed } from '../support/bytes.ts';
import { tempFolder } from '../support/temp.ts';

async function openStore(t: TestContext): Promise<{ folder: string; store: DiskFileStore }> {
  const folder = join(await tempFolder(t), 'files');
  const store = await DiskFileStore.open(folder);
  t.after(() => store.close());
  return { folder, store };
}

function put(store: DiskFileStore, id: FileId, bytes: Uint8Array): Promise<unknown> {
  return storeAll(store, id, streamed(pieces(bytes, 64 * 1024)));
}

function withCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => hasCode(error, code);
}

/** The number of a new descriptor: the system gives out the lowest that is free, so a leak raises it. */
async function descriptorOf(folder: string): Promise<number> {
  const handle = await open(folder, 'r');
  const { fd } = handle;
  await handle.close();
  return fd;
}

test('files lie where the ADR says, for nobody else to read', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  const writer = await store.create(id);
  await writer.write(Buffer.from('x'));
  assert.deepEqual(await readdir(join(folder, 'partial')), [id]);
  assert.equal((await stat(join(folder, 'partial', id))).mode & 0o777, 0o600);
  await writer.commit();
  const path = join(folder, id.slice(-2), id);
  assert.equal(await store.localPath(id), path);
  assert.equal((await stat(path)).mode & 0o777, 0o400);
  for (const name of [folder, join(folder, 'partial'), join(folder, id.slice(-2))]) {
    assert.equal((await stat(name)).mode & 0o777, 0o700, name);
  }
  assert.deepEqual(await readdir(join(folder, 'partial')), []);
});

test('files of others in the folder are neither listed nor swept', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  await put(store, id, Buffer.from('ours'));
  const shard = join(folder, id.slice(-2));
  for (const path of [join(folder, 'README'), join(shard, '.DS_Store'), join(folder, 'partial', 'note')]) {
    await writeFile(path, 'theirs');
    await utimes(path, 0, 0);
  }
  const elsewhere = `${id.slice(0, -2)}${id.endsWith('00') ? '01' : '00'}`;
  await writeFile(join(shard, elsewhere), 'in the wrong folder, where stat() would not find it');
  const listed: string[] = [];
  for await (const info of store.list()) listed.push(info.id);
  assert.deepEqual(listed, [id]);
  assert.equal(await store.sweep(Date.now()), 0);
});

test('sweep() removes what is old and nobody writes here; a slow writer of this process goes on', async (t) => {
  const { folder, store } = await openStore(t);
  const [dead, fresh, slow] = [mintFileId(), mintFileId(), mintFileId()];
  const writer = await store.create(slow);
  await writer.write(Buffer.from('slow'));
  for (const id of [dead, fresh]) await writeFile(join(folder, 'partial', id), 'half');
  for (const id of [dead, slow]) await utimes(join(folder, 'partial', id), 0, 0);
  assert.equal(await store.sweep(Date.now() - 60_000), 1);
  assert.deepEqual((await readdir(join(folder, 'partial'))).sort(), [fresh, slow].sort());
  await writer.commit();
  assert.equal((await collect(store.read(slow))).toString(), 'slow');
});

test('a file that another process swept is not committed, and nobody else’s in its place', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  const writer = await store.create(id);
  await writer.write(Buffer.from('mine'));
  await unlink(join(folder, 'partial', id));
  await writeFile(join(folder, 'partial', id), 'theirs');
  await assert.rejects(writer.commit(), withCode('file.abandoned'));
  await writer.abort();
  assert.equal(await store.stat(id), undefined);
});

test('a file that is taken over in the middle of a commit stays the next writer’s', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  const partial = join(folder, 'partial', id);
  const handle = await open(partial, 'wx');
  const facts = handle.stat.bind(handle);
  let next: FileWriter | undefined;
  handle.stat = (async (options?: { bigint: true }) => {
    const mine = await facts(options);
    // The writer has seen that the file is its own, and is about to rename it.
    if (options?.bigint && next === undefined) {
      await store.abandon(id);
      next = await store.create(id);
      await next.write(Buffer.from('the next '));
    }
    return mine;
  }) as typeof handle.stat;
  const nothing = (): void => undefined;
  const parts = { id, handle, folders: new Folders(folder), signal: undefined };
  const writer = new DiskFileWriter({ ...parts, onChange: nothing, onEnd: nothing });
  await writer.write(Buffer.from('the former'));
  await assert.rejects(writer.commit(), withCode('file.abandoned'));
  assert.equal(await store.stat(id), undefined, 'nothing half-written is visible');
  await writer.abort();
  await next?.write(Buffer.from('writer'));
  await next?.commit();
  assert.equal(String(await collect(store.read(id))), 'the next writer');
  for (const part of ['partial', 'committing']) assert.deepEqual(await readdir(join(folder, part)), []);
});

test('what a crash left in the middle of a commit is abandoned or swept', async (t) => {
  const { folder, store } = await openStore(t);
  const left = async (id: FileId): Promise<void> => {
    const path = join(folder, 'committing', `${id}.1b4e28ba-2fa1-11d2-883f-0016d3cca427`);
    await writeFile(path, 'all there');
    await utimes(path, 0, 0);
  };
  const [id, other] = [mintFileId(), mintFileId()];
  await left(id);
  await left(other);
  await assert.rejects(store.create(id), withCode('file.exists'));
  assert.equal((await collect(store.read(id, { follow: true, end: 2 }))).toString(), 'all');
  await store.abandon(id);
  await put(store, id, Buffer.from('anew'));
  assert.equal(await store.sweep(Date.now() - 60_000), 1);
  await (await store.create(other)).abort();
});

test('a full disk is store.full, keeps nothing, and other trouble is store.unavailable', async (t) => {
  for (const [systemCode, code] of [
    ['ENOSPC', 'store.full'],
    ['EDQUOT', 'store.full'],
    ['EIO', 'store.unavailable'],
  ] as const) {
    const folders = new Folders(join(await tempFolder(t), 'files'));
    const store = await DiskFileStore.open(folders.root);
    const id = mintFileId();
    const handle = await open(folders.partialPath(id), 'wx');
    const write = handle.write.bind(handle);
    let room = 100;
    // The system takes what fits, and refuses the rest.
    handle.write = (async (bytes: Uint8Array, offset: number, length: number, position: number) => {
      if (room === 0) throw Object.assign(new Error(`${systemCode}: no, write`), { code: systemCode });
      const result = await write(bytes, offset, Math.min(length, room), position);
      room -= result.bytesWritten;
      return result;
    }) as typeof handle.write;
    const nothing = (): void => undefined;
    const writer = new DiskFileWriter({
      id,
      handle,
      folders,
      signal: undefined,
      onChange: nothing,
      onEnd: nothing,
    });
    await writer.write(patternBytes(60));
    await assert.rejects(writer.write(patternBytes(60)), (error) => {
      assert.ok(hasCode(error, code));
      assert.equal(error.detail, `${systemCode}: no, write`);
      assert.ok(error.retryable);
      return true;
    });
    await assert.rejects(writer.commit(), withCode(code), 'nor may it be committed');
    await writer.abort();
    assert.deepEqual(await readdir(folders.partial), []);
    assert.equal(await store.stat(id), undefined);
  }
  assert.equal(diskError('odd').detail, 'odd');
});

test('a system that takes only some of the bytes at a time gets them all', async (t) => {
  const folders = new Folders(join(await tempFolder(t), 'files'));
  const store = await DiskFileStore.open(folders.root);
  const id = mintFileId();
  const handle = await open(folders.partialPath(id), 'wx');
  const write = handle.write.bind(handle);
  handle.write = ((bytes: Uint8Array, offset: number, length: number, position: number) =>
    write(bytes, offset, Math.min(length, 7), position)) as typeof handle.write;
  const nothing = (): void => undefined;
  const writer = new DiskFileWriter({
    id,
    handle,
    folders,
    signal: undefined,
    onChange: nothing,
    onEnd: nothing,
  });
  await writer.write(patternBytes(50));
  await writer.rewriteHead(Buffer.alloc(20, 'h'));
  await writer.commit();
  assert.ok((await collect(store.read(id))).equals(patternBytes(50).fill('h', 0, 20)));
});

test('a folder that went away is store.unavailable', async (t) => {
  const { folder, store } = await openStore(t);
  await store.check();
  await rename(folder, `${folder}-away`);
  const unavailable = withCode('store.unavailable');
  await assert.rejects(store.check(), unavailable);
  await assert.rejects(store.create(mintFileId()), unavailable);
  await assert.rejects(store.sweep(0), unavailable);
  await assert.rejects(store.freeBytes(), unavailable);
  await rename(`${folder}-away`, folder);
  await store.check();
});

test('a folder that can’t be made is store.unavailable', async (t) => {
  const file = join(await tempFolder(t), 'file');
  await writeFile(file, '');
  await assert.rejects(DiskFileStore.open(join(file, 'files')), withCode('store.unavailable'));
});

test('a follower in another process learns by itself that a file grew, became whole, and was removed', async (t) => {
  const { folder, store } = await openStore(t);
  const other = await DiskFileStore.open(folder);
  const id = mintFileId();
  const bytes = patternBytes(200_000);
  const writer = await store.create(id);
  await writer.write(bytes.subarray(0, 1));
  const reader = other.read(id, { follow: true })[Symbol.asyncIterator]();
  const first = await reader.next();
  assert.ok(first.done !== true && first.value.byteLength === 1);
  await writer.write(bytes.subarray(1));
  await writer.commit();
  await store.remove(id);
  const rest = await collect({ [Symbol.asyncIterator]: () => reader });
  assert.ok(rest.equals(bytes.subarray(1)), 'removed after the commit is not abandoned');
});

test('a follower tells a commit whose last step a crash cut off', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  const partial = join(folder, 'partial', id);
  await writeFile(partial, 'all there');
  const reader = store.read(id, { follow: true })[Symbol.asyncIterator]();
  assert.equal((await reader.next()).done, false);
  // As a process leaves it that dies between the rename and taking the write bit away.
  await put(store, `00000000000000000000${id.slice(-4)}` as FileId, Buffer.alloc(0));
  await rename(partial, join(folder, id.slice(-2), id));
  assert.equal((await reader.next()).done, true);
});

test('no descriptor stays open, whichever way reading and writing end', async (t) => {
  const { folder, store } = await openStore(t);
  const id = mintFileId();
  await put(store, id, patternBytes(600_000));
  const before = await descriptorOf(folder);
  for (let round = 0; round < 30; round += 1) {
    for await (const chunk of store.read(id, { follow: round % 2 === 0 })) {
      if (chunk.byteLength > 0) break;
    }
    await collect(store.read(id));
    await assert.rejects(collect(store.read(id, { start: 600_000 })));
    await assert.rejects(store.create(id));
    const controller = new AbortController();
    const writer = await store.create(mintFileId(), { signal: controller.signal });
    controller.abort();
    await assert.rejects(writer.commit());
    await writer.abort();
    await (await store.create(mintFileId())).abort();
    await (await store.create(mintFileId())).commit();
  }
  // At once: the garbage collector would close forgotten ones some day.
  assert.equal(await descriptorOf(folder), before);
});

test('free bytes are those of the file system', async (t) => {
  const { store } = await openStore(t);
  assert.ok((await store.freeBytes()) > 1024 * 1024);
});
