import assert from 'node:assert/strict';
import { mintFileId } from '../../../src/domain/ids.ts';
import { collect, patternBytes, pieces } from '../../support/bytes.ts';
import { failsWith, KiB, put, sawAll, startFollower, type Clause } from './clause.ts';

export function following(promise: Clause): void {
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
    for (const piece of pieces(bytes, 50_000)) {
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
        for (const piece of pieces(bytes, 1_000)) await writer.write(piece);
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
