import assert from 'node:assert/strict';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { FileStore, FileWriter } from '../../../src/ports/file-store.ts';
import { collect, patternBytes } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { assertNothing, failsWith, ids, KiB, put, startFollower, type Clause } from './clause.ts';

const SECOND = patternBytes(500 * KiB, 9);

/** A file that another process, where the adapter knows of any, has abandoned and goes on to write. */
async function overtaken(
  store: FileStore,
  other: FileStore,
): Promise<{ id: FileId; former: FileWriter; next: FileWriter }> {
  const id = mintFileId();
  const former = await store.create(id);
  await former.write(patternBytes(600 * KiB));
  await other.abandon(id);
  await assertNothing(other, id);
  const next = await other.create(id);
  await next.write(SECOND.subarray(0, 300 * KiB));
  return { id, former, next };
}

async function finish(store: FileStore, id: FileId, writer: FileWriter): Promise<void> {
  await writer.write(SECOND.subarray(writer.sizeBytes));
  await writer.commit();
  assert.ok((await collect(store.read(id))).equals(SECOND));
}

export function abandoning(promise: Clause): void {
  for (const where of ['another process', 'its own process']) {
    const both = async (
      store: FileStore,
      again?: () => Promise<FileStore>,
    ): Promise<[FileStore, () => Promise<void>]> => {
      const other = where === 'its own process' ? undefined : await again?.();
      return [other ?? store, async () => other?.close()];
    };

    promise(
      `a writer that ${where} abandoned can't commit, neither its own bytes nor the next writer's`,
      async ({ store, again }) => {
        const [other, close] = await both(store, again);
        const { id, former, next } = await overtaken(store, other);
        await assert.rejects(former.commit(), failsWith('file.abandoned'));
        assert.equal(await store.stat(id), undefined);
        await former.abort();
        await finish(other, id, next);
        await assert.rejects(former.write(Buffer.from('late')), failsWith('file.abandoned'));
        await former.abort();
        assert.ok((await collect(store.read(id))).equals(SECOND));
        await close();
      },
    );

    promise(`a writer that ${where} abandoned learns it while it writes`, async ({ store, again }) => {
      const [other, close] = await both(store, again);
      const { id, former, next } = await overtaken(store, other);
      await eventually('a write fails', () =>
        former.write(Buffer.from('late')).then(
          () => false,
          (error: unknown) => failsWith('file.abandoned')(error),
        ),
      );
      await finish(other, id, next);
      await close();
    });

    promise(`a writer that ${where} abandoned takes only its own bytes away`, async ({ store, again }) => {
      const [other, close] = await both(store, again);
      const { id, former, next } = await overtaken(store, other);
      await former.abort();
      assert.equal(await other.sweep(Date.now() + 60_000), 0, 'the next writer is known to be alive');
      await finish(other, id, next);
      assert.equal(await store.sweep(Date.now() + 60_000), 0);
      assert.ok((await collect(store.read(id))).equals(SECOND));
      await close();
    });
  }

  promise('a follower of an abandoned file fails with file.abandoned', async ({ store }) => {
    const id = mintFileId();
    const writer = await store.create(id);
    await writer.write(patternBytes(300 * KiB));
    const follower = startFollower(store, id);
    await eventually('it has begun', () => follower.bytes().byteLength > 0);
    await store.abandon(id);
    await assert.rejects(follower.done, failsWith('file.abandoned'));
    await writer.abort();
  });

  promise('abandon() leaves whole files alone, and ids that nobody writes', async ({ store }) => {
    const id = mintFileId();
    await store.abandon(id);
    await store.abandon(mintFileId());
    await put(store, id, SECOND);
    await store.abandon(id);
    assert.ok((await collect(store.read(id))).equals(SECOND));
    assert.deepEqual(await ids(store), [id]);
    await assert.rejects(store.abandon('../../etc/passwd' as FileId), TypeError);
  });

  promise('a commit and an abandon at the same time: whole, or abandoned', async ({ store, again }) => {
    const other = (await again?.()) ?? store;
    for (let round = 0; round < 30; round += 1) {
      const id = mintFileId();
      const writer = await store.create(id);
      await writer.write(SECOND.subarray(0, 1_000));
      const committing = writer.commit().then(
        () => true,
        (error: unknown) => !failsWith('file.abandoned')(error),
      );
      const abandoned = other.abandon(id).then(async () => (await other.stat(id)) !== undefined);
      const [committed, there] = await Promise.all([committing, abandoned]);
      assert.equal((await store.stat(id)) !== undefined, committed);
      if (there) assert.ok(committed, 'what was whole after abandon() stays so');
      if (!there) assert.ok(!committed, 'what was not whole after abandon() never becomes so');
      await writer.abort();
      await other.remove(id);
      await put(other, id, SECOND.subarray(0, 2_000));
      assert.equal((await store.stat(id))?.sizeBytes, 2_000);
    }
    if (other !== store) await other.close();
  });
}
