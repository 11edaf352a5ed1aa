import assert from 'node:assert/strict';
import { mintFileId } from '../../../src/domain/ids.ts';
import { collect, patternBytes } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { assertNothing, failsWith, ids, KiB, put, startFollower, type Clause } from './clause.ts';

export function durability(promise: Clause): void {
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

  promise('abandon() frees the id that a killed process was writing at once', async (opened) => {
    const { store, crashWhileWriting } = opened;
    assert.ok(crashWhileWriting);
    const id = mintFileId();
    await crashWhileWriting(id);
    await store.abandon(id);
    await assertNothing(store, id);
    const bytes = patternBytes(2_000 * KiB, 11);
    await put(store, id, bytes);
    await store.sweep(Date.now() + 60_000);
    assert.ok((await collect(store.read(id))).equals(bytes));
  });
}
