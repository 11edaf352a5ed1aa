import assert from 'node:assert/strict';
import { addLink, markPublished } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { ANN, T0, converting, createAll, enqueued, fresh, oneClaims, ready } from './fixtures.ts';
import { capability, type Clause, type OpenStore, type StoreExcuses } from '../store-subject.ts';

/** What has resolved outlives the store and is seen by others. */
export function durabilityClauses(
  clause: Clause,
  open: OpenStore<ConversionStore>,
  excuses: StoreExcuses,
): void {
  if (excuses.reopen === undefined) {
    clause('closed and opened again, everything is there', async (t) => {
      const subject = await open(t);
      const [record, removed] = [ready(T0), ready(T0)];
      await createAll(subject.store, record, removed);
      const link = { tokenHash: 'aa', expiresAt: T0 + 1 };
      const stored = await subject.store.update(record.id, (c) => addLink(c, link, T0));
      await subject.store.remove(removed.id);
      const reopened = await capability(subject, 'reopen')();
      assert.deepEqual((await reopened.list(ANN, { limit: 10 })).conversions, [stored]);
      assert.deepEqual(await reopened.findByLink('aa'), stored);
      assert.deepEqual(await reopened.findByMp3(record.mp3Fid ?? mintFileId()), stored);
    });

    clause('what a crash left between store and publish is found after a new start', async (t) => {
      const subject = await open(t);
      const [owing, running] = [enqueued(T0), converting(T0 + 1)];
      await createAll(subject.store, owing, running, fresh());
      const reopened = await capability(subject, 'reopen')();
      assert.deepEqual(await reopened.unpublished(T0 + 1, 10), [owing]);
      assert.deepEqual(await reopened.leaseExpired(T0 + 2, 10), [running]);
    });
  }

  if (excuses.second === undefined) {
    clause('another instance on the same data sees at once what has resolved', async (t) => {
      const subject = await open(t);
      const second = await capability(subject, 'second')();
      const record = enqueued(T0);
      await subject.store.create(record);
      assert.deepEqual(await second.find(record.id), record);
      const changed = await second.update(record.id, (c) => markPublished(c, 'video'));
      assert.deepEqual(await subject.store.find(record.id), changed);
      assert.deepEqual(await subject.store.unpublished(T0 + 1, 10), []);
    });

    clause('of two converters that claim at once from two instances one wins', async (t) => {
      const subject = await open(t);
      const second = await capability(subject, 'second')();
      for (let round = 0; round < 10; round += 1) {
        const record = fresh();
        await subject.store.create(record);
        await oneClaims(round % 2 === 0 ? [subject.store, second] : [second, subject.store], record.id);
      }
    });
  }
}
