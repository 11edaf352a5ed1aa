import assert from 'node:assert/strict';
import { cancel, fail, markPublished, settleMail, type Conversion } from '../../../src/domain/conversion.ts';
import { forget } from '../../../src/domain/forgotten.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { oweLostMessage } from '../../../src/domain/reopen.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { FAILURE, T0, converting, createAll, enqueued, fresh, ids, ready } from './fixtures.ts';
import { type Clause, type OpenStore } from '../store-subject.ts';

/** The sweeper finds what a crash or retention left. */
export function sweepClauses(clause: Clause, open: OpenStore<ConversionStore>): void {
  clause('leaseExpired() gives the records whose lease ran out, oldest first', async (t) => {
    const { store } = await open(t);
    const uploading = fresh({ state: 'uploading', lease: { holder: 'g', until: T0 + 20 } });
    const fetching = fresh({ state: 'fetching', lease: { holder: 'g', until: T0 + 10 } });
    const [worked, alive, queued] = [converting(T0 + 15), converting(T0 + 30), fresh()];
    await createAll(store, uploading, fetching, worked, alive, queued);
    assert.deepEqual(await store.leaseExpired(T0 + 25, 10), [fetching, worked, uploading]);
    assert.deepEqual(ids(await store.leaseExpired(T0 + 25, 2)), [fetching.id, worked.id]);
    assert.deepEqual(await store.leaseExpired(T0 + 10, 10), [], 'a lease that runs out now still runs');
    await store.update(worked.id, (c) => ({ ...c, lease: { holder: 'converter', until: T0 + 99 } }));
    await store.update(fetching.id, (c) => cancel(c, T0));
    assert.deepEqual(ids(await store.leaseExpired(T0 + 25, 10)), [uploading.id]);
  });

  clause('unpublished() gives the records that owe an announcement, oldest first', async (t) => {
    const { store } = await open(t);
    const [third, first, second] = [enqueued(T0 + 3), enqueued(T0 + 1), ready(T0 + 2)];
    const twice: Conversion = {
      ...fresh(),
      unpublished: [
        { announcement: 'video', since: T0 + 50 },
        { announcement: 'failed', since: T0 + 4 },
      ],
    };
    await createAll(store, third, first, second, twice, fresh());
    assert.deepEqual(await store.unpublished(T0 + 10, 10), [first, second, third, twice]);
    assert.deepEqual(ids(await store.unpublished(T0 + 10, 1)), [first.id]);
    assert.deepEqual(
      ids(await store.unpublished(T0 + 2, 10)),
      [first.id],
      'younger ones are still on their way',
    );
    await store.update(first.id, (c) => markPublished(c, 'video'));
    await store.update(twice.id, (c) => markPublished(c, 'failed'));
    assert.deepEqual(ids(await store.unpublished(T0 + 10, 10)), [second.id, third.id]);
    assert.deepEqual(ids(await store.unpublished(T0 + 51, 10)), [second.id, third.id, twice.id]);
  });

  clause('awaiting() gives the records that wait for their message to be taken, oldest first', async (t) => {
    const { store } = await open(t);
    const waiting = (at: number): Conversion => ({ ...enqueued(at), unpublished: [], updatedAt: at });
    const due = (at: number): Conversion => ({ ...ready(at), unpublished: [], mail: 'due', updatedAt: at });
    const [second, first, owing] = [waiting(T0 + 2), waiting(T0 + 1), enqueued(T0 + 1)];
    const failed = fail(fresh(), null, FAILURE, T0 + 5);
    assert.ok(failed);
    const told: Conversion = { ...failed, unpublished: [] };
    const mail = due(T0 + 3);
    const sent: Conversion = { ...due(T0), mail: 'sent' };
    await createAll(store, second, first, owing, told, mail, sent, converting(T0), waiting(T0 + 9));
    assert.deepEqual(await store.awaiting('conversion', T0 + 9, 10), [first, second]);
    assert.deepEqual(ids(await store.awaiting('conversion', T0 + 9, 1)), [first.id]);
    assert.deepEqual(await store.awaiting('mail', T0 + 9, 10), [mail, told]);
    await store.update(first.id, (c) => oweLostMessage(c, T0 + 9, T0 + 20));
    await store.update(mail.id, (c) => settleMail(c, 'sent'));
    assert.deepEqual(ids(await store.awaiting('conversion', T0 + 9, 10)), [second.id]);
    assert.deepEqual(ids(await store.awaiting('mail', T0 + 9, 10)), [told.id]);
  });

  clause("retentionDue('video') gives ended records whose video is still there, oldest first", async (t) => {
    const { store } = await open(t);
    const foreign = ready(T0 + 30, mintFileId(), { source: { kind: 'foreign' } });
    const failed = fail(fresh(), null, FAILURE, T0 + 10);
    const cancelled = cancel(fresh(), T0 + 20);
    assert.ok(failed && cancelled);
    const gone: Conversion = { ...ready(T0), videoRemovedAt: T0 + 1 };
    await createAll(store, foreign, cancelled, failed, gone, ready(T0 + 40), fresh(), converting(T0));
    assert.deepEqual(await store.retentionDue('video', T0 + 40, 10), [failed, cancelled, foreign]);
    assert.deepEqual(ids(await store.retentionDue('video', T0 + 40, 1)), [failed.id]);
    await store.update(failed.id, (c) => ({ ...c, videoRemovedAt: T0 + 41 }));
    assert.deepEqual(ids(await store.retentionDue('video', T0 + 40, 10)), [cancelled.id, foreign.id]);
  });

  clause("retentionDue('mp3') gives ended records whose MP3 is still there, oldest first", async (t) => {
    const { store } = await open(t);
    const foreign = ready(T0 + 30, mintFileId(), { source: { kind: 'foreign' } });
    const videoGone: Conversion = { ...ready(T0 + 10), videoRemovedAt: T0 + 11 };
    const gone: Conversion = { ...ready(T0), mp3RemovedAt: T0 + 1 };
    const failed = fail(fresh(), null, FAILURE, T0);
    const cancelled = cancel(fresh(), T0);
    assert.ok(failed && cancelled);
    await createAll(store, foreign, gone, failed, cancelled, videoGone, ready(T0 + 40), converting(T0));
    assert.deepEqual(await store.retentionDue('mp3', T0 + 40, 10), [videoGone, foreign]);
    assert.deepEqual(ids(await store.retentionDue('mp3', T0 + 40, 1)), [videoGone.id]);
    await store.update(videoGone.id, (c) => ({ ...c, mp3RemovedAt: T0 + 41 }));
    assert.deepEqual(ids(await store.retentionDue('mp3', T0 + 40, 10)), [foreign.id]);
  });

  clause("retentionDue('drafts') gives ended records that still name drafts, oldest first", async (t) => {
    const { store } = await open(t);
    const drafts = [mintFileId(), mintFileId()];
    const first: Conversion = { ...ready(T0 + 10), drafts };
    const second: Conversion = { ...ready(T0 + 20), drafts };
    const running: Conversion = { ...converting(T0), drafts };
    await createAll(store, second, first, running, ready(T0), { ...ready(T0 + 40), drafts });
    assert.deepEqual(await store.retentionDue('drafts', T0 + 40, 10), [first, second]);
    await store.update(first.id, (c) => ({ ...c, drafts: [] }));
    assert.deepEqual(ids(await store.retentionDue('drafts', T0 + 40, 10)), [second.id]);
  });

  clause("a forgotten record is in nobody's list, and retentionDue('drafts') gives it", async (t) => {
    const { store } = await open(t);
    const [gone, stays] = [ready(T0 + 10), ready(T0 + 20)];
    await createAll(store, gone, stays);
    await store.update(gone.id, (c) => forget(c, T0 + 30));
    assert.deepEqual(ids((await store.list(gone.owner, { limit: 10 })).conversions), [stays.id]);
    assert.equal(await store.findOwned(gone.id, gone.owner), undefined);
    assert.deepEqual(ids(await store.retentionDue('drafts', T0 + 11, 10)), [gone.id]);
    assert.deepEqual(await store.retentionDue('drafts', T0 + 10, 10), []);
  });
}
