import assert from 'node:assert/strict';
import { addLink, finish, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { BOB, FAILURE, T0, converting, createAll, fresh, ready } from './fixtures.ts';
import { type Clause, type OpenStore } from '../store-subject.ts';

/** What is created is found, by its owner only, until it is removed. */
export function recordClauses(clause: Clause, open: OpenStore<ConversionStore>): void {
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

  clause('fields of foreign messages may have any name, number and depth', async (t) => {
    const { store } = await open(t);
    let deep: unknown = 'ground';
    for (let level = 0; level < 300; level += 1) deep = level % 2 === 0 ? [deep] : { down: deep };
    const messageFields = {
      'a.b': { $set: { 'x.$': 1 }, '': [[], {}, null], ' ': '' },
      $where: 'true',
      numbers: [0.1, -1, 1e300, 5e-324, 2 ** 31, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, 1e21],
      words: ['\u0000', '😀', '\u2028', '"\\'],
      deep,
    };
    const record: Conversion = { ...fresh(), messageFields, progress: 1e-300, videoBytes: 2 ** 53 };
    await store.create(record);
    assert.deepEqual(await store.find(record.id), record);
    const changed = await store.update(record.id, (c) => ({ ...c, name: null }));
    assert.deepEqual(changed, { ...record, name: null, version: 2 });
    assert.deepEqual(await store.find(record.id), changed);
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

  clause('check() resolves while the store is open and says store.unavailable after close()', async (t) => {
    const { store } = await open(t);
    await store.check();
    await store.close();
    await store.close();
    await assert.rejects(store.check(), { code: 'store.unavailable' });
    await assert.rejects(store.create(fresh()), { code: 'store.unavailable' });
  });
}
