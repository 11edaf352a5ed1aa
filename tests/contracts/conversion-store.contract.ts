import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import {
  addLink,
  cancel,
  claim,
  fail,
  finish,
  markPublished,
  type Conversion,
} from '../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { ConversionStore } from '../../src/ports/conversion-store.ts';
import { ANN, BOB, T0, converting, enqueued, fresh, ready } from './conversion-fixtures.ts';
import { capability, type OpenStore, type StoreExcuses } from './store-subject.ts';

const FAILURE = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;

async function createAll(store: ConversionStore, ...records: Conversion[]): Promise<void> {
  for (const record of records) await store.create(record);
}

function ids(records: readonly Conversion[]): FileId[] {
  return records.map((record) => record.id);
}

/** All pages of a list; `between` runs after each page. */
async function pages(
  store: ConversionStore,
  owner: string,
  limit: number,
  between: () => Promise<void> = () => Promise.resolve(),
): Promise<FileId[][]> {
  const all: FileId[][] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(owner, cursor === undefined ? { limit } : { limit, cursor });
    all.push(ids(page.conversions));
    cursor = page.next;
    await between();
  } while (cursor !== undefined && all.length < 100);
  return all;
}

/** Every promise of the port conversion-store. */
export function conversionStoreContract(
  name: string,
  open: OpenStore<ConversionStore>,
  excuses: StoreExcuses = {},
): void {
  const clause = (promise: string, body: (t: TestContext) => Promise<void>): void => {
    void test(`${name}: ${promise}`, body);
  };

  clause('a record is given back with all its fields, those of foreign messages included', async (t) => {
    const { store } = await open(t);
    const record: Conversion = {
      ...ready(T0 + 5, mintFileId(), {
        name: 'Übung 😀 "1".mp4',
        source: { kind: 'url', url: 'https://x.de/ü' },
      }),
      failure: FAILURE,
      progress: 0.123_456_789,
      lease: { holder: 'h', until: T0 },
      messageFields: { trace: { a: [1, null, 'ü'] }, big: 2 ** 53 },
      links: [{ tokenHash: 'a'.repeat(64), expiresAt: T0 }],
      videoRemovedAt: T0 + 9,
      mp3RemovedAt: T0 + 10,
    };
    await store.create(record);
    assert.deepEqual(await store.find(record.id), record);
  });

  clause('create() of an id that is there fails and writes nothing', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    await assert.rejects(store.create({ ...record, owner: BOB, name: 'other.mp4' }), {
      code: 'conversion.exists',
    });
    assert.deepEqual(await store.find(record.id), record);
    assert.deepEqual((await store.list(BOB, { limit: 10 })).conversions, []);
  });

  clause('of two simultaneous create() of one id one wins', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    const results = await Promise.allSettled([store.create(record), store.create(record)]);
    assert.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  });

  clause('find() of an unknown id gives undefined', async (t) => {
    const { store } = await open(t);
    await store.create(fresh());
    assert.equal(await store.find(mintFileId()), undefined);
  });

  clause("findOwned() gives the owner's record, in any letter case, and never another's", async (t) => {
    const { store } = await open(t);
    const record = fresh({ owner: 'Ann@Example.com' });
    await store.create(record);
    assert.deepEqual(await store.findOwned(record.id, 'Ann@Example.com'), record);
    assert.deepEqual(await store.findOwned(record.id, 'aNN@example.COM'), record);
    for (const other of [BOB, '', '%', 'ann@example.co', 'ann_example.com']) {
      assert.equal(await store.findOwned(record.id, other), undefined);
    }
  });

  clause("list() gives the owner's records in any letter case, and never another's", async (t) => {
    const { store } = await open(t);
    const [first, second, third] = [
      fresh({ owner: ANN }),
      fresh({ owner: ANN.toUpperCase() }),
      fresh({ owner: BOB }),
    ];
    await createAll(store, first, second, third);
    const listed = await store.list(ANN.toLowerCase(), { limit: 10 });
    assert.deepEqual(ids(listed.conversions), [second.id, first.id]);
    assert.equal(listed.next, undefined);
    assert.deepEqual(ids((await store.list(BOB, { limit: 10 })).conversions), [third.id]);
    assert.deepEqual(await store.list('cid@example.com', { limit: 10 }), {
      conversions: [],
      next: undefined,
    });
  });

  clause('a cursor of one owner shows nothing of it to another', async (t) => {
    const { store } = await open(t);
    const [anns, bobs] = [[1, 2, 3].map((n) => fresh({ now: T0 + n })), fresh({ owner: BOB, now: T0 })];
    await createAll(store, ...anns, bobs);
    const { next } = await store.list(ANN, { limit: 1 });
    assert.ok(next !== undefined);
    assert.deepEqual(ids((await store.list(BOB, { limit: 10, cursor: next })).conversions), [bobs.id]);
  });

  clause('list() pages newest first, each record once, also those of one millisecond', async (t) => {
    const { store } = await open(t);
    const times = [5, 1, 3, 3, 3, 3, 3, 2, 9, 9, 0];
    const records = times.map((ms) => fresh({ now: T0 + ms }));
    await createAll(store, ...records);
    const newestFirst = records.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
    for (const limit of [1, 2, 3, 10, 11, 100]) {
      const seen = await pages(store, ANN, limit);
      assert.deepEqual(seen.flat(), ids(newestFirst), `limit ${String(limit)}`);
      assert.equal(seen.length, Math.ceil(records.length / limit), 'no empty page at the end');
    }
  });

  clause('list() shows each record once though others are added and removed meanwhile', async (t) => {
    const { store } = await open(t);
    const records = Array.from({ length: 7 }, (_, n) => fresh({ now: T0 + Math.floor(n / 3) }));
    await createAll(store, ...records);
    let added = 0;
    const seen = await pages(store, ANN, 2, async () => {
      added += 1;
      await store.create(fresh({ now: T0 + 100 + added }));
      await store.create(fresh({ now: T0 + 100 + added, owner: BOB }));
    });
    assert.deepEqual(seen.flat(), ids(records.toReversed()));
    const first = await store.list(ANN, { limit: 1 });
    await store.remove(first.conversions[0]?.id ?? mintFileId());
    assert.ok(first.next !== undefined);
    const rest = await store.list(ANN, { limit: 100, cursor: first.next });
    assert.equal(rest.conversions.length, records.length + added - 1, 'the cursor outlives its record');
  });

  clause('a cursor that this store did not make is request.malformed', async (t) => {
    const { store } = await open(t);
    await createAll(store, fresh(), fresh());
    const { next } = await store.list(ANN, { limit: 1 });
    assert.ok(next !== undefined);
    const pair = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forged = [
      '',
      'x',
      '!!!',
      `${next}=`,
      `${next}A`,
      next.slice(1),
      ' ' + next,
      pair([T0]),
      pair([T0, 'zz']),
    ];
    for (const cursor of [...forged, pair(['1', mintFileId()]), pair({}), pair([1, mintFileId(), 3])]) {
      await assert.rejects(store.list(ANN, { limit: 1, cursor }), { code: 'request.malformed' }, cursor);
    }
  });

  clause('a page has 1 to 100 records', async (t) => {
    const { store } = await open(t);
    for (const limit of [0, -1, 101, 1.5, Number.NaN]) {
      await assert.rejects(store.list(ANN, { limit }), { code: 'request.malformed' }, String(limit));
    }
  });

  clause('update() writes the change, raises the version by one and gives back what it stored', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    for (let version = 2; version <= 4; version += 1) {
      const stored = await store.update(record.id, (c) => ({
        ...c,
        name: `take ${String(version)}`,
        version: 77,
      }));
      assert.deepEqual(stored, { ...record, name: `take ${String(version)}`, version });
      assert.deepEqual(await store.find(record.id), stored);
    }
  });

  clause('update() never changes the id or the time of creation', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    await store.update(record.id, (c) => ({ ...c, id: mintFileId(), createdAt: 1 }));
    assert.deepEqual(await store.find(record.id), { ...record, version: 2 });
  });

  clause('a change that returns undefined writes nothing and resolves undefined', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    assert.equal(await store.update(record.id, () => undefined), undefined);
    assert.deepEqual(await store.find(record.id), record);
  });

  clause('update() of an unknown id resolves undefined without asking for a change', async (t) => {
    const { store } = await open(t);
    const change = t.mock.fn((c: Conversion) => c);
    assert.equal(await store.update(mintFileId(), change), undefined);
    assert.equal(change.mock.callCount(), 0);
  });

  clause('an illegal move is refused and nothing is written', async (t) => {
    const { store } = await open(t);
    const record = ready(T0);
    await store.create(record);
    for (const state of ['queued', 'converting', 'failed', 'cancelled'] as const) {
      const moved = store.update(record.id, (c) => ({ ...c, state, name: 'never' }));
      await assert.rejects(moved, { code: 'conversion.illegal-move' });
    }
    assert.deepEqual(await store.find(record.id), record);
    assert.equal((await store.update(record.id, (c) => c))?.version, 2, 'the store goes on working');
  });

  clause('a change that throws is passed on and nothing is written', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    const mistake = new TypeError('a mistake in the change');
    await assert.rejects(
      store.update(record.id, () => {
        throw mistake;
      }),
      mistake,
    );
    assert.deepEqual(await store.find(record.id), record);
    assert.equal((await store.update(record.id, (c) => c))?.version, 2, 'the store goes on working');
  });

  clause('of two converters that claim at once one wins', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    await oneClaims([store, store], record.id);
  });

  clause('of cancel and finish at once one wins, and the loser learns it', async (t) => {
    const { store } = await open(t);
    const record = converting(T0 + 1_000);
    await store.create(record);
    const result = { mp3Fid: mintFileId(), mp3Bytes: 1, durationMs: 1, incomplete: false };
    const outcomes = await Promise.all([
      store.update(record.id, (c) => cancel(c, T0 + 1)),
      store.update(record.id, (c) => finish(c, 'converter', result, T0 + 1)),
    ]);
    const [winner, ...others] = outcomes.filter((outcome) => outcome !== undefined);
    assert.deepEqual(others, []);
    assert.deepEqual(await store.find(record.id), winner);
  });

  clause('of many simultaneous updates each sees the others', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    const raise = (): Promise<unknown> =>
      store.update(record.id, (c) => ({ ...c, attempts: c.attempts + 1 }));
    await Promise.all(Array.from({ length: 25 }, raise));
    assert.deepEqual(await store.find(record.id), { ...record, attempts: 25, version: 26 });
  });

  clause('findByMp3() finds the record from the step on that makes it ready', async (t) => {
    const { store } = await open(t);
    const [record, other] = [converting(T0 + 1_000), ready(T0)];
    const mp3Fid = mintFileId();
    await createAll(store, record, other, fresh());
    assert.equal(await store.findByMp3(mp3Fid), undefined);
    const result = { mp3Fid, mp3Bytes: 1, durationMs: 1, incomplete: false };
    const stored = await store.update(record.id, (c) => finish(c, 'converter', result, T0 + 1));
    assert.deepEqual(await store.findByMp3(mp3Fid), stored);
    assert.equal(await store.findByMp3(record.id), undefined, 'the id of a video is not that of an MP3');
  });

  clause('findByLink() finds the record by any of its links, and by none that is gone', async (t) => {
    const { store } = await open(t);
    const record = ready(T0);
    await createAll(store, record, ready(T0));
    const link = (tokenHash: string, expiresAt: number) => (c: Conversion) =>
      addLink(c, { tokenHash, expiresAt }, T0);
    await store.update(record.id, link('aa', T0 + 1));
    const both = await store.update(record.id, link('bb', T0 + 5));
    assert.deepEqual(await store.findByLink('aa'), both);
    assert.deepEqual(await store.findByLink('bb'), both, 'expired or not');
    assert.equal(await store.findByLink('cc'), undefined);
    await store.update(record.id, (c) => ({ ...c, links: c.links.slice(1) }));
    assert.equal(await store.findByLink('aa'), undefined);
    assert.equal((await store.findByLink('bb'))?.id, record.id);
    await store.remove(record.id);
    assert.equal(await store.findByLink('bb'), undefined);
  });

  clause('remove() takes one record and says whether there was one', async (t) => {
    const { store } = await open(t);
    const [record, other] = [ready(T0), ready(T0)];
    await createAll(store, record, other);
    assert.equal(await store.remove(record.id), true);
    assert.equal(await store.remove(record.id), false);
    assert.equal(await store.find(record.id), undefined);
    assert.deepEqual(ids((await store.list(ANN, { limit: 10 })).conversions), [other.id]);
    assert.deepEqual(ids(await store.retentionDue('mp3', T0 + 1, 10)), [other.id]);
    await store.create(record);
    assert.deepEqual(await store.find(record.id), record);
  });

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

  clause('check() resolves while the store is open and says store.unavailable after close()', async (t) => {
    const { store } = await open(t);
    await store.check();
    await store.close();
    await store.close();
    await assert.rejects(store.check(), { code: 'store.unavailable' });
    await assert.rejects(store.create(fresh()), { code: 'store.unavailable' });
  });

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

/** Two holders claim at the same time: one gets the record, the other undefined. */
async function oneClaims([one, two]: readonly [ConversionStore, ConversionStore], id: FileId): Promise<void> {
  const lease = (holder: string) => ({ holder, until: T0 + 1_000 });
  const outcomes = await Promise.all([
    one.update(id, (c) => claim(c, lease('one'), T0)),
    two.update(id, (c) => claim(c, lease('two'), T0)),
  ]);
  const [winner, ...others] = outcomes.filter((outcome) => outcome !== undefined);
  assert.ok(winner !== undefined, 'nobody won');
  assert.deepEqual(others, []);
  assert.equal(winner.lease?.holder, outcomes[0] === undefined ? 'two' : 'one');
  assert.equal(winner.version, 2);
  assert.equal(winner.attempts, 1);
  assert.deepEqual(await one.find(id), winner);
}
