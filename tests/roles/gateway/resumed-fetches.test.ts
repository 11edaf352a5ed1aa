import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { MemoryBroker } from '../../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import { newConversion, type Conversion, type ConversionState } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import type { FileStore } from '../../../src/ports/file-store.ts';
import type { FetchVideo } from '../../../src/services/gateway/import/fetch-video.ts';
import { startSweeper, type Sweeper } from '../../../src/services/gateway/sweeper.ts';
import { breakable, type Breakable } from '../../support/breakable.ts';
import { streamed } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { call } from './api-calls.ts';
import {
  bearer,
  messagesOf,
  openGateway,
  QUEUES,
  readFile,
  storeFile,
  type Fixture,
} from './gateway-fixture.ts';

const HOUR = 3_600_000;
const URL_TEXT = 'https://videos.example.com/talk.mp4';

/** Stores that several gateways share. */
interface Stage {
  readonly conversions: MemoryConversionStore;
  /** The same, as the gateways see it. */
  readonly records: Breakable<ConversionStore>;
  readonly videos: Breakable<FileStore>;
  readonly broker: MemoryBroker;
  /** Addresses that were asked for. */
  readonly asked: string[];
  /** What the server behind the URL does. */
  fetchVideo: FetchVideo;
  /** The sweepers' clocks run so far ahead. */
  ahead: number;
  gateway(holder: string): Promise<Fixture & { readonly sweeper: Sweeper }>;
}

const whole: FetchVideo = () =>
  Promise.resolve({ body: streamed([Buffer.from('the '), Buffer.from('video')]), name: 'talk.mp4' });

/** Some bytes, and then nothing until its caller gives up. */
const stalled: FetchVideo = (_url, { signal }) =>
  Promise.resolve({
    name: 'talk.mp4',
    body: (async function* () {
      yield Buffer.from('the beginning of something else');
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    })(),
  });

function open(t: TestContext): Stage {
  const conversions = new MemoryConversionStore();
  const stage: Stage = {
    conversions,
    records: breakable<ConversionStore>(conversions),
    videos: breakable<FileStore>(new MemoryFileStore()),
    broker: new MemoryBroker(),
    asked: [],
    fetchVideo: whole,
    ahead: 0,
    gateway: async (holder) => {
      const mp3s = new MemoryFileStore();
      const shared = {
        conversions: stage.records.port,
        videos: stage.videos.port,
        broker: stage.broker,
        mp3s,
      };
      const fetchVideo: FetchVideo = (url, options) => {
        stage.asked.push(url.href);
        return stage.fetchVideo(url, options);
      };
      const gateway = await openGateway(t, { holder }, { ...shared, fetchVideo });
      const first = Promise.withResolvers<undefined>();
      const sweep = mp3s.sweep.bind(mp3s);
      mp3s.sweep = () => {
        first.resolve(undefined);
        return sweep();
      };
      const sweeper = startSweeper(
        { ...shared, queues: QUEUES, log: recordedLog(), fetches: gateway.fetches },
        {
          ...{ intervalMs: HOUR, sourceRetentionMs: 24 * HOUR, mp3RetentionMs: null, maxAttempts: 3 },
          ...{ leftoverAgeMs: HOUR, now: () => Date.now() + stage.ahead },
        },
      );
      t.after(() => sweeper.stop(0));
      // The run at the start is over when it has come to the last store.
      await first.promise;
      return { ...gateway, sweeper };
    },
  };
  return stage;
}

/** What a gateway leaves that is killed while it fetches. */
async function left(stage: Stage, bytes: 'half' | 'whole' | 'none' = 'half'): Promise<FileId> {
  const now = Date.now();
  const conversion = newConversion({
    id: mintFileId(),
    owner: 'ann@example.com',
    state: 'fetching',
    name: null,
    source: { kind: 'url', url: URL_TEXT },
    lease: { holder: 'dead', until: now - 1 },
    now,
  });
  await stage.conversions.create(conversion);
  const { id } = conversion;
  if (bytes === 'half') await (await stage.videos.port.create(id)).write(Buffer.from('the beginning of'));
  if (bytes === 'whole') await storeFile(stage.videos.port, id, 'what was whole already');
  return id;
}

function inState(stage: Stage, id: FileId, state: ConversionState): Promise<Conversion> {
  return eventually(`${id} is ${state}`, async () => {
    const found = await stage.conversions.find(id);
    return found?.state === state ? found : undefined;
  });
}

async function begin(gateway: Fixture): Promise<FileId> {
  const { status, body } = await call(gateway, 'POST', '/conversions', { json: { url: URL_TEXT } });
  assert.equal(status, 201);
  return body.id as FileId;
}

async function expectFetched(stage: Stage, id: FileId): Promise<void> {
  const queued = await inState(stage, id, 'queued');
  assert.deepEqual([queued.name, queued.videoBytes, queued.lease, queued.attempts], ['talk.mp4', 9, null, 0]);
  assert.equal(String(await readFile(stage.videos.port, id)), 'the video');
  await eventually('its message', async () => (await stage.broker.depth('video')).waiting === 1);
  const [message] = await messagesOf(stage.broker, 'video');
  assert.deepEqual(message, { video_fid: id, mp3_fid: null, username: 'ann@example.com' });
}

for (const bytes of ['none', 'half', 'whole'] as const) {
  void test(`a fetch whose gateway died is resumed, with ${bytes} of its bytes there`, async (t) => {
    const stage = open(t);
    const { sweeper } = await stage.gateway('next');
    const id = await left(stage, bytes);
    assert.equal((await sweeper.runOnce()).resumedFetches, 1);
    await expectFetched(stage, id);
    assert.deepEqual(stage.asked, [URL_TEXT]);
  });
}

void test('of several gateways that sweep at the same time one resumes', async (t) => {
  const stage = open(t);
  const gateways = await Promise.all(['a', 'b', 'c'].map((holder) => stage.gateway(holder)));
  const ids = await Promise.all(Array.from({ length: 8 }, () => left(stage)));
  const reports = await Promise.all(gateways.map(({ sweeper }) => sweeper.runOnce()));
  assert.equal(
    reports.reduce((sum, { resumedFetches }) => sum + resumedFetches, 0),
    8,
  );
  for (const id of ids) await inState(stage, id, 'queued');
  assert.equal(stage.asked.length, 8);
});

void test('a gateway takes no more than it can begin at once; the next one takes the others', async (t) => {
  const stage = open(t);
  stage.fetchVideo = stalled;
  const [a, b] = [await stage.gateway('a'), await stage.gateway('b')];
  await Promise.all(Array.from({ length: 12 }, () => left(stage)));
  assert.equal((await a.sweeper.runOnce()).resumedFetches, 8);
  assert.equal((await a.sweeper.runOnce()).resumedFetches, 0);
  assert.equal((await b.sweeper.runOnce()).resumedFetches, 4);
  await eventually('twelve are fetched', () => stage.asked.length === 12);
});

void test('a fetch that its gateways die over again and again has failed, and one of theirs is not resumed', async (t) => {
  const stage = open(t);
  const { sweeper } = await stage.gateway('next');
  const id = await left(stage);
  await stage.conversions.update(id, (c) => ({ ...c, attempts: 3 }));
  const report = await sweeper.runOnce();
  assert.deepEqual([report.resumedFetches, report.failed], [0, 1]);
  const failed = await inState(stage, id, 'failed');
  assert.deepEqual([failed.failure?.code, failed.mail], ['import.failed', 'due']);
  assert.deepEqual(stage.asked, []);
});

void test('a cancelled fetch is not resumed, and one that was resumed can be cancelled', async (t) => {
  const stage = open(t);
  stage.fetchVideo = stalled;
  const gateway = await stage.gateway('next');
  const [cancelled, resumed] = [await left(stage), await left(stage)];
  const remove = async (id: FileId): Promise<void> => {
    const url = `${gateway.url}/api/v1/conversions/${id}`;
    assert.equal((await fetch(url, { method: 'DELETE', headers: bearer('ann') })).status, 204);
  };
  await remove(cancelled);
  assert.equal((await gateway.sweeper.runOnce()).resumedFetches, 1);
  await eventually('it is fetched', () => stage.asked.length === 1);
  await remove(resumed);
  await inState(stage, resumed, 'cancelled');
  await eventually('it has stopped', () =>
    gateway.log.entries.some(({ message }) => message === 'video not fetched'),
  );
  assert.equal((await stage.conversions.find(resumed))?.state, 'cancelled');
  assert.equal(await stage.videos.port.stat(resumed), undefined);
});

void test('a gateway that stops hands back what it fetches and what waits; the next one goes on', async (t) => {
  const stage = open(t);
  stage.fetchVideo = stalled;
  const [first, second] = [await stage.gateway('first'), await stage.gateway('second')];
  const ids: FileId[] = [];
  for (let n = 0; n < 10; n += 1) ids.push(await begin(first));
  await eventually('eight run', () => stage.asked.length === 8);
  assert.equal((await second.sweeper.runOnce()).resumedFetches, 0, 'their holder lives');
  await first.stop(0);
  for (const id of ids) {
    const found = await stage.conversions.find(id);
    assert.deepEqual([found?.state, found?.failure, found?.attempts], ['fetching', null, 0]);
  }
  stage.fetchVideo = whole;
  await eventually('all are queued', async () => {
    await second.sweeper.runOnce();
    const states = await Promise.all(ids.map((id) => stage.conversions.find(id)));
    return states.every((found) => found?.state === 'queued');
  });
  assert.equal(stage.asked.length, 18, 'each was fetched once more');
});

void test('a gateway that stops ends what it fetches, and leaves what waits to others at once', async (t) => {
  const stage = open(t);
  const gate = Promise.withResolvers<undefined>();
  stage.fetchVideo = async (url, options) => {
    await gate.promise;
    return whole(url, options);
  };
  const gateway = await stage.gateway('only');
  const ids: FileId[] = [];
  for (let n = 0; n < 10; n += 1) ids.push(await begin(gateway));
  await eventually('eight run', () => stage.asked.length === 8);
  const all = (): Promise<(Conversion | undefined)[]> =>
    Promise.all(ids.map((id) => stage.conversions.find(id)));
  const stopping = gateway.stop(30_000);
  await eventually('two are handed back', async () => {
    const left = (await all()).filter((found) => found?.lease?.holder === '');
    return left.length === 2;
  });
  gate.resolve(undefined);
  await stopping;
  const queued = (await all()).filter((found) => found?.state === 'queued');
  assert.deepEqual([queued.length, stage.asked.length], [8, 8]);
});

void test('a gateway that was slow finds that another has resumed its fetch, and spoils nothing', async (t) => {
  const stage = open(t);
  stage.fetchVideo = stalled;
  const slow = await stage.gateway('slow');
  const id = await begin(slow);
  await eventually('its bytes are on the way', () => stage.asked.length === 1);
  const holder = (await stage.conversions.find(id))?.lease?.holder;
  stage.fetchVideo = whole;
  const next = await stage.gateway('next');
  stage.ahead = 60_000;
  assert.equal((await slow.sweeper.runOnce()).resumedFetches, 0, 'it is at it itself');
  assert.equal((await next.sweeper.runOnce()).resumedFetches, 1);
  await expectFetched(stage, id);
  assert.notEqual((await stage.conversions.find(id))?.lease?.holder, holder);
  await slow.stop(0);
  assert.equal((await stage.conversions.find(id))?.state, 'queued');
  assert.equal(String(await readFile(stage.videos.port, id)), 'the video');
});

for (const code of ['store.unavailable', 'store.full'] as const) {
  void test(`a fetch during ${code} rests, and is resumed uncounted`, async (t) => {
    const stage = open(t);
    const gateway = await stage.gateway('only');
    stage.videos.breakWith(new AudiowaveError(code), 'create');
    const id = await begin(gateway);
    const resting = await eventually('it is handed back', async () => {
      const found = await stage.conversions.find(id);
      return found?.lease?.holder === '' ? found : undefined;
    });
    assert.deepEqual([resting.state, resting.attempts], ['fetching', 0]);
    assert.ok((resting.lease?.until ?? 0) > Date.now() + 2_000);
    stage.videos.mend();
    assert.equal((await gateway.sweeper.runOnce()).resumedFetches, 0, 'it rests');
    stage.ahead = 70_000;
    await eventually('its place is free, and it is resumed', async () => {
      const { resumedFetches } = await gateway.sweeper.runOnce();
      return resumedFetches === 1;
    });
    await expectFetched(stage, id);
  });
}

void test('records that are away when a resumed fetch is whole: another gateway goes on when its lease has run out', async (t) => {
  const stage = open(t);
  const gateway = await stage.gateway('only');
  const id = await left(stage, 'none');
  stage.fetchVideo = (url, options) => {
    // From now on, and for good: the fetch fails while they are away.
    stage.records.breakWith(new AudiowaveError('store.unavailable'));
    stage.videos.breakWith(new AudiowaveError('store.unavailable'));
    return whole(url, options);
  };
  assert.equal((await gateway.sweeper.runOnce()).resumedFetches, 1);
  await eventually('it is left', () =>
    gateway.log.entries.some(({ message }) => message === 'fetch left to the sweeper'),
  );
  stage.records.mend();
  stage.videos.mend();
  stage.fetchVideo = whole;
  assert.equal((await stage.conversions.find(id))?.state, 'fetching');
  stage.ahead = 60_000;
  await eventually('it is resumed', async () => (await gateway.sweeper.runOnce()).resumedFetches === 1);
  await expectFetched(stage, id);
});
