import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { MemoryBroker } from '../../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import {
  cancel,
  claim,
  nameDraft,
  enqueue,
  newConversion,
  type Conversion,
} from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import { FAILED_QUEUE } from '../../../src/domain/messages.ts';
import { startSweeper, type Sweeper, type SweeperOptions } from '../../../src/services/gateway/sweeper.ts';
import { eventually } from '../../support/eventually.ts';
import type { FileStore } from '../../../src/ports/file-store.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { QUEUES, readyConversion, storeFile } from './gateway-fixture.ts';

const HOUR = 3_600_000;

interface Setup {
  readonly conversions: MemoryConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: MemoryBroker;
  readonly log: ReturnType<typeof recordedLog>;
  readonly sweeper: Sweeper;
  /** The sweeper's clock runs so far ahead. */
  ahead: number;
}

/** A sweeper that runs only when it is asked to, on a clock that the test moves. */
async function open(t: TestContext, options: Partial<SweeperOptions> = {}): Promise<Setup> {
  const stores = {
    conversions: new MemoryConversionStore(),
    videos: new MemoryFileStore(),
    mp3s: new MemoryFileStore(),
    broker: new MemoryBroker(),
    log: recordedLog(),
  };
  const sweeper = startSweeper(
    { ...stores, queues: QUEUES },
    {
      intervalMs: HOUR,
      sourceRetentionMs: 24 * HOUR,
      mp3RetentionMs: null,
      maxAttempts: 3,
      leftoverAgeMs: HOUR,
      now: () => Date.now() + setup.ahead,
      ...options,
    },
  );
  const setup: Setup = { ...stores, sweeper, ahead: 0 };
  t.after(() => sweeper.stop(0));
  // The run at the start is over when it has come to the last store.
  const first = Promise.withResolvers<undefined>();
  const sweep = stores.mp3s.sweep.bind(stores.mp3s);
  stores.mp3s.sweep = () => {
    first.resolve(undefined);
    return sweep();
  };
  await first.promise;
  return setup;
}

async function record(setup: Setup, state: 'uploading' | 'fetching', leaseMs: number): Promise<Conversion> {
  const now = Date.now();
  const lease = { holder: 'dead', until: now + leaseMs };
  const source = { kind: 'upload' } as const;
  const owner = 'ann@example.com';
  const conversion = newConversion({ id: mintFileId(), owner, state, name: null, source, lease, now });
  await setup.conversions.create(conversion);
  await storeFile(setup.videos, conversion.id, 'bytes');
  return conversion;
}

async function queued(setup: Setup): Promise<Conversion> {
  const { id } = await record(setup, 'uploading', 60_000);
  const moved = await setup.conversions.update(id, (c) =>
    enqueue(c, 'dead', { bytes: 5, name: null }, Date.now()),
  );
  assert.ok(moved);
  return moved;
}

async function waiting(setup: Setup, queue: string): Promise<number> {
  return (await setup.broker.depth(queue)).waiting;
}

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

void test('a fetch whose process died has failed, with a sentence, and its owner is told', async (t) => {
  const setup = await open(t);
  const { id } = await record(setup, 'fetching', -1);
  assert.equal((await setup.sweeper.runOnce()).failed, 1);
  const failed = await setup.conversions.find(id);
  assert.deepEqual([failed?.state, failed?.failure?.code, failed?.mail], ['failed', 'import.failed', 'due']);
  assert.equal(await setup.videos.stat(id), undefined);
  assert.equal(await waiting(setup, FAILED_QUEUE), 1);
});

async function converting(setup: Setup, attempts: number, draft: FileId | null = null): Promise<Conversion> {
  const { id } = await queued(setup);
  const lease = { holder: 'converter', until: Date.now() + 1_000 };
  await setup.conversions.update(id, (c) => ({ ...c, attempts: attempts - 1, unpublished: [] }));
  const claimed = await setup.conversions.update(id, (c) => claim(c, lease, Date.now()));
  assert.equal(claimed?.attempts, attempts);
  if (draft !== null) await setup.conversions.update(id, (c) => nameDraft(c, lease.holder, draft));
  return claimed;
}

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
