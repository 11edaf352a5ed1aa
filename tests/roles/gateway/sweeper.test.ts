import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cancel, enqueue, type Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { FAILED_QUEUE } from '../../../src/domain/messages.ts';
import { eventually } from '../../support/eventually.ts';
import { readyConversion, storeFile } from './gateway-fixture.ts';
import { another, converting, HOUR, open, queued, readyRecord, record, waiting } from './sweeper-stage.ts';

void test('an announcement that was never confirmed is published, once it is old enough', async (t) => {
  const setup = await open(t);
  const { id } = await queued(setup);
  assert.equal((await setup.sweeper.runOnce()).published, 0);
  setup.ahead = 6_000;
  assert.equal((await setup.sweeper.runOnce()).published, 1);
  assert.equal(await waiting(setup, 'video'), 1);
  assert.deepEqual((await setup.conversions.find(id))?.unpublished, []);
  assert.equal((await setup.sweeper.runOnce()).published, 0);
});

void test('many announcements are published in one run', async (t) => {
  const setup = await open(t);
  for (let index = 0; index < 350; index += 1) await queued(setup);
  setup.ahead = 6_000;
  assert.equal((await setup.sweeper.runOnce()).published, 350);
  assert.equal(await waiting(setup, 'video'), 350);
});

void test('while the broker is away the sweeper asks more and more rarely, and nothing is lost', async (t) => {
  const setup = await open(t);
  await queued(setup);
  await queued(setup);
  let asked = 0;
  const publish = setup.broker.publish.bind(setup.broker);
  setup.broker.publish = () => {
    asked += 1;
    return Promise.reject(new AudiowaveError('broker.unavailable'));
  };
  setup.ahead = 6_000;
  for (let run = 0; run < 5; run += 1) await setup.sweeper.runOnce();
  assert.equal(asked, 1);
  setup.ahead += 1_100;
  await setup.sweeper.runOnce();
  setup.ahead += 1_100;
  await setup.sweeper.runOnce();
  assert.equal(asked, 2);
  setup.broker.publish = publish;
  setup.ahead += 2_000;
  assert.equal((await setup.sweeper.runOnce()).published, 2);
});

void test('an announcement that no broker takes does not hold up the others', async (t) => {
  const setup = await open(t);
  const bad = await queued(setup);
  await queued(setup);
  const publish = setup.broker.publish.bind(setup.broker);
  setup.broker.publish = (queue, body, options) =>
    body.video_fid === bad.id
      ? Promise.reject(new AudiowaveError('broker.malformed-message'))
      : publish(queue, body, options);
  setup.ahead = 6_000;
  assert.equal((await setup.sweeper.runOnce()).published, 1);
});

void test('an upload whose process died goes with its bytes; one that is alive stays', async (t) => {
  const setup = await open(t);
  const dead = await record(setup, 'uploading', -1);
  const alive = await record(setup, 'uploading', 60_000);
  assert.equal((await setup.sweeper.runOnce()).removedUploads, 1);
  assert.equal(await setup.conversions.findOwned(dead.id, dead.owner), undefined);
  assert.equal(await setup.videos.stat(dead.id), undefined);
  assert.ok(await setup.conversions.find(alive.id));
  assert.ok(await setup.videos.stat(alive.id));
});

void test('an uploader that was only slow can not queue what is being swept', async (t) => {
  const setup = await open(t);
  const { id } = await record(setup, 'uploading', -1);
  // The sweeper is in the middle of removing the bytes when the slow process comes back.
  const remove = setup.videos.remove.bind(setup.videos);
  let late: Conversion | undefined;
  setup.videos.remove = async (fid) => {
    late = await setup.conversions.update(id, (c) =>
      enqueue(c, 'dead', { bytes: 5, name: null }, Date.now()),
    );
    return remove(fid);
  };
  await setup.sweeper.runOnce();
  assert.equal(late, undefined);
  assert.deepEqual((await setup.conversions.list('ann@example.com', { limit: 10 })).conversions, []);
});

void test('a fetch whose last gateway died has failed, with a sentence, and its owner is told', async (t) => {
  const setup = await open(t);
  const { id } = await record(setup, 'fetching', -1);
  assert.equal((await setup.sweeper.runOnce()).failed, 0);
  await setup.conversions.update(id, (c) => ({ ...c, attempts: 3 }));
  assert.equal((await setup.sweeper.runOnce()).failed, 1);
  const failed = await setup.conversions.find(id);
  assert.deepEqual([failed?.state, failed?.failure?.code, failed?.mail], ['failed', 'import.failed', 'due']);
  assert.equal(await setup.videos.stat(id), undefined);
  assert.equal(await waiting(setup, FAILED_QUEUE), 1);
});

void test('a conversion whose converter died is queued and announced once more, after a while', async (t) => {
  const setup = await open(t);
  const { id } = await converting(setup, 2);
  setup.ahead = 5_000;
  assert.equal((await setup.sweeper.runOnce()).revived, 0);
  setup.ahead = 20_000;
  assert.equal((await setup.sweeper.runOnce()).revived, 1);
  assert.equal((await setup.conversions.find(id))?.state, 'queued');
  assert.equal(await waiting(setup, 'video'), 1);
});

void test('a conversion whose converter died at its last attempt has failed, and its draft goes', async (t) => {
  const setup = await open(t);
  const draft = mintFileId();
  await storeFile(setup.mp3s, draft, 'half a sound');
  const { id } = await converting(setup, 3, draft);
  setup.ahead = 20_000;
  assert.equal((await setup.sweeper.runOnce()).failed, 1);
  const failed = await setup.conversions.find(id);
  assert.deepEqual([failed?.state, failed?.failure?.code], ['failed', 'conversion.abandoned']);
  assert.equal(await setup.mp3s.stat(draft), undefined);
  assert.equal(await waiting(setup, FAILED_QUEUE), 1);
});

void test('a video goes when its time after the end is over; the MP3 stays', async (t) => {
  const setup = await open(t);
  const { id, mp3Fid } = await readyConversion(setup, 'ann@example.com');
  setup.ahead = 23 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedVideos, 0);
  setup.ahead = 25 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedVideos, 1);
  assert.equal(await setup.videos.stat(id), undefined);
  assert.ok(await setup.mp3s.stat(mp3Fid));
  assert.ok((await setup.conversions.find(id))?.videoRemovedAt);
  assert.equal((await setup.sweeper.runOnce()).removedVideos, 0);
});

void test('an MP3 goes when its time is over, where one is set', async (t) => {
  const setup = await open(t, { mp3RetentionMs: 48 * HOUR });
  const { id, mp3Fid } = await readyConversion(setup, 'ann@example.com');
  setup.ahead = 47 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedMp3s, 0);
  setup.ahead = 49 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedMp3s, 1);
  assert.equal(await setup.mp3s.stat(mp3Fid), undefined);
  assert.ok((await setup.conversions.find(id))?.mp3RemovedAt);
});

void test('half-written files are swept when they are an hour old', async (t) => {
  const setup = await open(t);
  await setup.sweeper.runOnce();
  const asked: number[] = [];
  setup.videos.sweep = (olderThan: number) => {
    asked.push(Date.now() + setup.ahead - olderThan);
    return Promise.resolve(2);
  };
  setup.ahead = HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedPartials, 2);
  assert.ok(Math.abs((asked[0] ?? 0) - HOUR) < 5_000);
});

void test('a step that fails does not keep the others from their work', async (t) => {
  const setup = await open(t);
  await readyConversion(setup, 'ann@example.com');
  setup.conversions.leaseExpired = () => Promise.reject(new AudiowaveError('store.unavailable'));
  setup.ahead = 25 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedVideos, 1);
  assert.ok(setup.log.entries.some(({ fields }) => fields.step === 'leases'));
});

void test('it runs by itself, at once and again, and stops', async (t) => {
  const setup = await open(t, { intervalMs: 10 });
  const first = await record(setup, 'uploading', -1);
  await eventually(
    'the first is swept',
    async () => (await setup.conversions.findOwned(first.id, first.owner)) === undefined,
  );
  const second = await record(setup, 'uploading', -1);
  await eventually(
    'the second is swept',
    async () => (await setup.conversions.findOwned(second.id, second.owner)) === undefined,
  );
  await setup.sweeper.stop(0);
});

void test('a draft that was finished after its conversion had ended goes, after a while', async (t) => {
  const setup = await open(t);
  const draft = mintFileId();
  const { id } = await converting(setup, 1, draft);
  await setup.conversions.update(id, (c) => cancel(c, Date.now()));
  await storeFile(setup.mp3s, draft, 'too late');
  assert.equal((await setup.sweeper.runOnce()).removedDrafts, 0);
  setup.ahead = HOUR + 1_000;
  assert.equal((await setup.sweeper.runOnce()).removedDrafts, 1);
  assert.equal(await setup.mp3s.stat(draft), undefined);
  assert.deepEqual((await setup.conversions.find(id))?.drafts, []);
});

void test('10,000 records that are due hold up no other step, and the next runs go on', async (t) => {
  const setup = await open(t, { stepMs: 300, sourceRetentionMs: HOUR });
  for (let n = 0; n < 10_000; n += 1) await readyRecord(setup);
  const remove = setup.videos.remove.bind(setup.videos);
  setup.videos.remove = async (id) => {
    await delay(1);
    return remove(id);
  };
  const dead = await record(setup, 'uploading', -1);
  await queued(setup);
  setup.ahead = 2 * HOUR;
  const startedAt = Date.now();
  const report = await setup.sweeper.runOnce();
  assert.ok(Date.now() - startedAt < 5_000);
  assert.ok(report.removedVideos > 0 && report.removedVideos < 10_000, String(report.removedVideos));
  assert.equal(report.published, 1);
  assert.equal(await setup.conversions.findOwned(dead.id, dead.owner), undefined);
  setup.videos.remove = remove;
  let removed = report.removedVideos;
  for (let run = 0; run < 200 && removed < 10_000; run += 1) {
    removed += (await setup.sweeper.runOnce()).removedVideos;
  }
  assert.equal(removed, 10_000);
});

void test('a record whose handling fails holds up no other', async (t) => {
  const setup = await open(t);
  const bad = await readyConversion(setup, 'ann@example.com');
  for (let n = 0; n < 250; n += 1) await readyRecord(setup);
  const remove = setup.videos.remove.bind(setup.videos);
  setup.videos.remove = (id) => (id === bad.id ? Promise.reject(new TypeError('odd')) : remove(id));
  setup.ahead = 25 * HOUR;
  assert.equal((await setup.sweeper.runOnce()).removedVideos, 250);
});

void test('an outage ends a step, and for a while after it no lease is judged', async (t) => {
  const setup = await open(t);
  const upload = await record(setup, 'uploading', -1);
  const find = setup.conversions.leaseExpired.bind(setup.conversions);
  setup.conversions.leaseExpired = () => Promise.reject(new AudiowaveError('store.unavailable'));
  await setup.sweeper.runOnce();
  setup.conversions.leaseExpired = find;
  assert.equal((await setup.sweeper.runOnce()).removedUploads, 0, 'who lives renews first');
  assert.ok(await setup.conversions.findOwned(upload.id, upload.owner));
  setup.ahead = 15_100;
  assert.equal((await setup.sweeper.runOnce()).removedUploads, 1);
});

void test('sweepers of several gateways do each thing once, announcements at least once', async (t) => {
  const setup = await open(t);
  const uploads: Conversion[] = [];
  for (let n = 0; n < 50; n += 1) uploads.push(await record(setup, 'uploading', -1));
  for (let n = 0; n < 50; n += 1) await converting(setup, 1);
  for (let n = 0; n < 50; n += 1) await queued(setup);
  setup.ahead = 20_000;
  const sweepers = [setup.sweeper, another(t, setup), another(t, setup)];
  const reports = await Promise.all(sweepers.map((sweeper) => sweeper.runOnce()));
  const total = (count: 'removedUploads' | 'revived'): number =>
    reports.reduce((sum, report) => sum + report[count], 0);
  assert.deepEqual([total('removedUploads'), total('revived')], [50, 50]);
  assert.ok((await waiting(setup, 'video')) >= 100);
  assert.deepEqual(await setup.conversions.unpublished(Infinity, 100), []);
});
