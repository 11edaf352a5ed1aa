import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import { DiskFileStore } from '../../../src/adapters/disk/file-store.ts';
import { MemoryBroker } from '../../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import type { AuthApi } from '../../../src/ports/auth-api.ts';
import type { Broker } from '../../../src/ports/broker.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import type { FileStore, FileWriter } from '../../../src/ports/file-store.ts';
import type { GatewayOptions } from '../../../src/services/gateway/gateway.ts';
import { breakable, type Breakable } from '../../support/breakable.ts';
import { eventually } from '../../support/eventually.ts';
import { tempFolder } from '../../support/temp.ts';
import { expectText } from './answers.ts';
import {
  bearer,
  countFiles,
  FakeAuth,
  fileForm,
  openGateway,
  readyConversion,
  type Fixture,
} from './gateway-fixture.ts';
import { BODY_END, partHead, RawClient, requestHead } from './raw-client.ts';

const away = new AudiowaveError('store.unavailable');
const brokerAway = new AudiowaveError('broker.unavailable');

interface Stage {
  readonly url: string;
  readonly port: number;
  readonly auth: Breakable<AuthApi>;
  readonly conversions: Breakable<ConversionStore>;
  readonly videos: Breakable<FileStore>;
  readonly mp3s: Breakable<FileStore>;
  readonly broker: Breakable<Broker>;
  upload(path?: string): Promise<Response>;
  list(): Promise<readonly Conversion[]>;
}

async function open(t: TestContext, options: Partial<GatewayOptions> = {}): Promise<Stage> {
  const parts = {
    auth: breakable<AuthApi>(new FakeAuth()),
    conversions: breakable<ConversionStore>(new MemoryConversionStore()),
    videos: breakable<FileStore>(new MemoryFileStore()),
    mp3s: breakable<FileStore>(new MemoryFileStore()),
    broker: breakable<Broker>(new MemoryBroker()),
  };
  const { auth, conversions, videos, mp3s, broker } = parts;
  const { url, port } = await openGateway(t, options, {
    ...{ auth: auth.port, conversions: conversions.port, broker: broker.port },
    ...{ videos: videos.port, mp3s: mp3s.port },
  });
  return {
    ...parts,
    url,
    port,
    upload: (path = '/upload') =>
      fetch(url + path, { method: 'POST', headers: bearer('ann'), body: fileForm() }),
    list: async () => (await conversions.port.list('ann@example.com', { limit: 100 })).conversions,
  };
}

/** The record as its owner sees it, the files, the messages: nothing. */
async function expectNothing(stage: Stage): Promise<void> {
  await eventually('nothing is left', async () => {
    const { waiting } = await stage.broker.port.depth('video');
    return (await stage.list()).length + (await countFiles(stage.videos.port)) + waiting === 0;
  });
}

/** The writers that the store gives out are changed by `change`. */
function changeWriters(stage: Stage, change: (writer: FileWriter) => void): void {
  const { port } = stage.videos;
  const create = port.create.bind(port);
  stage.videos.intercept('create', async (id, options) => {
    const writer = await create(id, options);
    change(writer);
    return writer;
  });
}

for (const part of ['videos', 'conversions'] as const) {
  void test(`the store of ${part} away: 500, or 503 with Retry-After, and nothing is kept`, async (t) => {
    const stage = await open(t);
    stage[part].breakWith(away);
    await expectText(await stage.upload(), 500, 'internal server error');
    const problem = await stage.upload('/api/v1/conversions');
    assert.equal(problem.status, 503);
    assert.ok(Number(problem.headers.get('retry-after')) > 0);
    assert.equal(((await problem.json()) as { code: string }).code, 'store.unavailable');
    stage[part].mend();
    await expectNothing(stage);
    await expectText(await stage.upload(), 200, 'success!');
  });
}

void test('a full store is 507 in both forms, and nothing is half there', async (t) => {
  const stage = await open(t);
  let calls = 0;
  changeWriters(stage, (writer) => {
    const refuse = (): Promise<never> => Promise.reject(new AudiowaveError('store.full'));
    if (calls < 2) writer.write = refuse;
    else writer.commit = refuse;
    calls += 1;
  });
  for (let round = 0; round < 2; round += 1) {
    await expectText(await stage.upload(), 507, 'not enough disk space');
    assert.equal((await stage.upload('/api/v1/conversions')).status, 507);
  }
  assert.equal(calls, 4);
  await expectNothing(stage);
});

void test('a commit whose answer is lost is 500, and its file goes', async (t) => {
  const stage = await open(t);
  changeWriters(stage, (writer) => {
    const commit = writer.commit.bind(writer);
    writer.commit = async () => {
      await commit();
      throw away;
    };
  });
  await expectText(await stage.upload(), 500, 'internal server error');
  await expectNothing(stage);
});

void test('the answer to the record that queues is lost, the next ones fail: 200, and one message', async (t) => {
  const stage = await open(t);
  const { port } = stage.conversions;
  const update = port.update.bind(port);
  let calls = 0;
  stage.conversions.intercept('update', async (id, change) => {
    calls += 1;
    if (calls === 2) throw away;
    const updated = await update(id, change);
    if (calls === 1) throw away;
    return updated;
  });
  await expectText(await stage.upload(), 200, 'success!');
  const [queued, ...more] = await stage.list();
  assert.deepEqual([queued?.state, more.length], ['queued', 0]);
  await eventually('it is noted', async () => (await stage.list())[0]?.unpublished.length === 0);
  assert.equal((await stage.broker.port.depth('video')).waiting, 1);
});

void test('a store that repeats creating a record by itself makes no upload fail', async (t) => {
  const stage = await open(t);
  const { port } = stage.conversions;
  const create = port.create.bind(port);
  stage.conversions.intercept('create', async (conversion) => {
    await create(conversion);
    await create(conversion);
  });
  await expectText(await stage.upload(), 200, 'success!');
});

void test('an upload outlives an outage of the records that is longer than its lease', async (t) => {
  const stage = await open(t, { leaseMs: 90 });
  const client = new RawClient(stage.port);
  t.after(() => {
    client.hangUp();
  });
  const length = partHead().length + 3 + BODY_END.length;
  await client.send(requestHead('/upload', length, { ...bearer('ann'), connection: 'close' }));
  await client.send(partHead() + 'a');
  const [begun] = await eventually('its record is there', async () => {
    const found = await stage.list();
    return found.length > 0 ? found : undefined;
  });
  stage.conversions.breakWith(away);
  await eventually('the lease has run out', () => Date.now() > (begun?.lease?.until ?? 0) + 200);
  await client.send('b');
  stage.conversions.mend();
  await client.send(`c${BODY_END}`);
  assert.match(await client.closed(), /^HTTP\/1\.1 200 [^]*success!$/);
});

void test('the broker away, or silent: 200, the announcement is owed, and only one upload waits', async (t) => {
  const stage = await open(t);
  stage.broker.intercept(
    'publish',
    (_queue, _body, { signal } = {}) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          reject(brokerAway);
        });
      }),
  );
  const first = Date.now();
  await expectText(await stage.upload(), 200, 'success!');
  assert.ok(Date.now() - first < 4_000, 'a short wait');
  const second = Date.now();
  for (let n = 0; n < 20; n += 1) await expectText(await stage.upload(), 200, 'success!');
  assert.ok(Date.now() - second < 2_000, 'no wait at all');
  const owed = (await stage.list()).map(({ unpublished }) => unpublished[0]?.announcement);
  assert.deepEqual(owed, Array<string>(21).fill('video'));
});

void test('auth away: 500 on the routes of the family, 503 with Retry-After under /api/v1', async (t) => {
  const stage = await open(t);
  stage.auth.breakWith(away);
  const headers = { authorization: `Basic ${Buffer.from('ann@example.com:secret').toString('base64')}` };
  const login = await fetch(`${stage.url}/login`, { method: 'POST', headers });
  await expectText(login, 500, 'internal server error');
  await expectText(await stage.upload(), 500, 'internal server error');
  for (const [method, path] of [
    ['POST', '/api/v1/conversions'],
    ['GET', '/api/v1/conversions'],
  ] as const) {
    const answer = await fetch(stage.url + path, { method, headers: bearer('ann') });
    assert.equal(answer.status, 503, path);
    assert.ok(Number(answer.headers.get('retry-after')) > 0);
    await answer.text();
  }
  await expectNothing(stage);
});

void test('records away while clients look: 503 with Retry-After, and again 200 without a restart', async (t) => {
  const stage = await open(t);
  await stage.upload();
  const look = (): Promise<Response> => fetch(`${stage.url}/api/v1/conversions`, { headers: bearer('ann') });
  stage.conversions.breakWith(away);
  for (let n = 0; n < 3; n += 1) {
    const answer = await look();
    assert.equal(answer.status, 503);
    assert.ok(Number(answer.headers.get('retry-after')) > 0);
    await answer.text();
  }
  const download = await fetch(`${stage.url}/download?fid=${'a'.repeat(24)}`, { headers: bearer('ann') });
  await expectText(download, 500, 'internal server error');
  stage.conversions.mend();
  const answer = await look();
  assert.equal(answer.status, 200);
  await answer.text();
});

void test('a store that dies in the middle of a download, or gives too little, breaks the connection off', async (t) => {
  const stage = await open(t);
  const fixture = {
    conversions: stage.conversions.port,
    videos: stage.videos.port,
    mp3s: stage.mp3s.port,
  } as unknown as Fixture;
  const { mp3Fid } = await readyConversion(fixture, 'ann@example.com', Buffer.alloc(1_000_000));
  const get = async (): Promise<number> => {
    const answer = await fetch(`${stage.url}/download?fid=${mp3Fid}`, { headers: bearer('ann') });
    assert.equal(answer.headers.get('content-length'), '1000000');
    return (await answer.arrayBuffer()).byteLength;
  };
  assert.equal(await get(), 1_000_000);
  for (const end of [away, undefined]) {
    // eslint-disable-next-line @typescript-eslint/require-await -- as a store that fails on the way
    stage.mp3s.intercept('read', async function* () {
      yield Buffer.alloc(300_000);
      if (end !== undefined) throw end;
    });
    await assert.rejects(get, TypeError, String(end));
  }
});

void test('200 idle uploads to a disk hold back no fast one, and leave no descriptor open', async (t) => {
  const videos = await DiskFileStore.open(await tempFolder(t));
  const gateway = await openGateway(t, {}, { videos });
  const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
  const before = await descriptors();
  const slow = Array.from({ length: 200 }, () => new RawClient(gateway.port));
  t.after(() => {
    for (const client of slow) client.hangUp();
  });
  await Promise.all(
    slow.map((client) => client.send(requestHead('/upload', 1_000_000, bearer('bob')) + partHead() + 'x')),
  );
  await eventually('200 uploads run', async () => {
    return (await gateway.conversions.leaseExpired(Infinity, 300)).length === 200;
  });
  for (let n = 0; n < 20; n += 1) {
    const answer = await fetch(`${gateway.url}/upload`, {
      method: 'POST',
      headers: bearer('ann'),
      body: fileForm(new Uint8Array(20_000)),
      signal: AbortSignal.timeout(10_000),
    });
    assert.equal(await answer.text(), 'success!');
  }
  for (const client of slow) client.hangUp();
  await eventually('nothing of the slow ones is left', async () => {
    const { conversions } = await gateway.conversions.list('bob@example.com', { limit: 100 });
    return conversions.length === 0 && (await descriptors()) <= before + 10;
  });
  assert.equal(await countFiles(videos), 20);
});

void test('what is not ready says when to ask again', async (t) => {
  const checks = [{ name: 'broker', ok: false, message: 'away' }];
  const readiness = (): Promise<{ ready: boolean; checks: typeof checks }> =>
    Promise.resolve({ ready: false, checks });
  const gateway = await openGateway(t, {}, { readiness });
  const answer = await fetch(`${gateway.url}/readyz`);
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers.get('retry-after')) > 0);
  await answer.text();
});
