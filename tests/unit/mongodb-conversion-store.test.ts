import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { after, before, test, type TestContext } from 'node:test';
import { MongoClient } from 'mongodb';
import { INDEXES } from '../../src/adapters/mongodb/conversion-document.ts';
import { MongoConversionStore } from '../../src/adapters/mongodb/conversion-store.ts';
import { newConversion, type Conversion } from '../../src/domain/conversion.ts';
import { hasCode } from '../../src/domain/errors.ts';
import { mintFileId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { freePort } from '../support/servers/server-process.ts';

/** Five seconds for a call, and a busy machine. */
const IN_TIME_MS = 15_000;

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

function fresh(): Conversion {
  return newConversion({
    id: mintFileId(),
    owner: 'ann@example.com',
    state: 'queued',
    name: null,
    source: { kind: 'upload' },
    lease: null,
    now: Date.now(),
  });
}

const count = (c: Conversion): Conversion => ({ ...c, attempts: c.attempts + 1 });

function openStore(t: TestContext, url: string, log = recordedLog()): MongoConversionStore {
  const store = MongoConversionStore.open(url, { log });
  t.after(() => store.close());
  return store;
}

/** A store whose connections lead through a proxy, and one that reaches the same records directly. */
async function throughProxy(
  t: TestContext,
  command: 'insert' | 'update' | 'delete',
): Promise<{ store: MongoConversionStore; direct: MongoConversionStore; proxy: LossyProxy }> {
  const url = server.freshUrl();
  const proxy = await startLossyProxy(t, Number(new URL(url).port), (chunk) =>
    // The first element of a command is its name, with the collection as a string (OP_MSG, kind 0).
    chunk.includes(`\x02${command}\0`),
  );
  const store = openStore(t, url.replace(/:\d+\//, `:${String(proxy.port)}/`));
  return { store, direct: openStore(t, url), proxy };
}

test('a record whose creation was not answered is created once, and its creator learns so', async (t) => {
  const { store, direct, proxy } = await throughProxy(t, 'insert');
  const record = fresh();
  proxy.loseAnswer();
  await store.create(record);
  assert.equal(proxy.lost(), 1);
  assert.deepEqual(await direct.find(record.id), record);
  await assert.rejects(store.create(record), { code: 'conversion.exists' });
});

test("a creation that was not answered does not take another's record for its own", async (t) => {
  const { store, direct, proxy } = await throughProxy(t, 'insert');
  const record = fresh();
  const held = proxy.holdRequest();
  const creating = assert.rejects(store.create({ ...record, name: 'ours' }), { code: 'conversion.exists' });
  await direct.create(record);
  await (await held).deliver();
  await creating;
  assert.deepEqual(await direct.find(record.id), record);
});

test('an update whose answer was lost is applied once, and its caller learns what was stored', async (t) => {
  const { store, direct, proxy } = await throughProxy(t, 'update');
  const record = fresh();
  await store.create(record);
  for (let version = 2; version <= 5; version += 1) {
    proxy.loseAnswer();
    const stored = await store.update(record.id, count);
    assert.deepEqual(stored, { ...record, attempts: version - 1, version });
    assert.deepEqual(await direct.find(record.id), stored);
  }
  assert.equal(proxy.lost(), 4);
});

test('an update whose answer was lost is known as applied though others have written since', async (t) => {
  const { store, direct, proxy } = await throughProxy(t, 'update');
  const record = fresh();
  await store.create(record);
  proxy.loseAnswer(0, async () => {
    for (let n = 0; n < 5; n += 1) await direct.update(record.id, count);
  });
  assert.deepEqual(await store.update(record.id, count), { ...record, attempts: 1, version: 2 });
  assert.deepEqual(await direct.find(record.id), { ...record, attempts: 6, version: 7 });
});

test('a claim whose answer was lost is won, not lost to itself', async (t) => {
  const { store, proxy } = await throughProxy(t, 'update');
  const record = fresh();
  await store.create(record);
  proxy.loseAnswer();
  const claimed = await store.update(record.id, (c) =>
    c.state === 'queued' ? { ...c, state: 'converting' } : undefined,
  );
  assert.equal(claimed?.state, 'converting');
});

test('an update that reaches the server after it was sent again changes nothing more', async (t) => {
  const { store, direct, proxy } = await throughProxy(t, 'update');
  const record = fresh();
  await store.create(record);
  const held = proxy.holdRequest();
  const stored = await store.update(record.id, count);
  await (await held).deliver();
  assert.deepEqual(await direct.find(record.id), stored);
  assert.deepEqual(stored, { ...record, attempts: 1, version: 2 });
});

test('a removal whose answer was lost was one', async (t) => {
  const { store, proxy } = await throughProxy(t, 'delete');
  const record = fresh();
  await store.create(record);
  proxy.loseAnswer();
  assert.equal(await store.remove(record.id), true);
  assert.equal(proxy.lost(), 1);
  assert.equal(await store.remove(record.id), false);
});

test('no update is lost and none applied twice though the server is killed in the middle of them', async (t) => {
  const own = await startMongoDb();
  t.after(() => own.stop());
  const log = recordedLog();
  const store = openStore(t, own.freshUrl(), log);
  const records = Array.from({ length: 4 }, fresh);
  for (const record of records) await store.create(record);
  let isOver = false;
  const outcomes = records.map(async ({ id }) => {
    const seen = { id, done: 0, unknown: 0 };
    while (!isOver) {
      try {
        await store.update(id, count);
        seen.done += 1;
      } catch (error) {
        if (!hasCode(error, 'store.unavailable')) throw error;
        seen.unknown += 1;
      }
    }
    return seen;
  });
  const total = async (): Promise<number> => {
    const found = await Promise.all(records.map(({ id }) => store.find(id)));
    return found.reduce((sum, record) => sum + (record?.attempts ?? 0), 0);
  };
  for (let kills = 0; kills < 4; kills += 1) {
    const so = await total();
    await eventually('updates are under way', async () => (await total()) > so + 20);
    await own.kill();
    await own.restart();
  }
  isOver = true;
  const seen = await Promise.all(outcomes);
  for (const { id, done, unknown } of seen) {
    const record = await store.find(id);
    assert.ok(record);
    assert.equal(record.version, record.attempts + 1);
    // Only a call that failed, because the server was away for longer than it waits, may or may not have been done.
    assert.ok(
      record.attempts >= done && record.attempts <= done + unknown,
      JSON.stringify({ done, unknown }),
    );
  }
  if (seen.every(({ unknown }) => unknown === 0))
    assert.deepEqual(log.entries, [], 'an absence that nobody felt');
});

test('a server that is away at open, and later, fails calls in time, is told of once and found again', async (t) => {
  const port = await freePort();
  const log = recordedLog();
  const store = openStore(t, `mongodb://127.0.0.1:${String(port)}/audiowave`, log);
  const record = fresh();
  const calls = [store.check(), store.find(record.id), store.create(record), store.update(record.id, count)];
  const started = Date.now();
  for (const call of await Promise.allSettled(calls)) {
    assert.equal(call.status, 'rejected');
    assert.ok(hasCode(call.reason, 'store.unavailable'), String(call.reason));
    assert.match(
      call.reason.detail ?? '',
      /^connect ECONNREFUSED .* at mongodb:\/\/127.0.0.1:\d+\/audiowave$/,
    );
  }
  assert.ok(Date.now() - started < IN_TIME_MS);
  const own = await startMongoDb({ port });
  t.after(() => own.stop());
  await eventually('the store answers', () => store.check().then(() => true));
  await store.create(record);
  assert.deepEqual(
    log.entries.map(({ level, message }) => [level, message]),
    [
      ['warn', 'MongoDB does not answer.'],
      ['info', 'MongoDB answers again.'],
    ],
  );
});

test('a server that hangs fails calls in time, and close() does not wait for it', async (t) => {
  const own = await startMongoDb();
  t.after(() => own.stop());
  const store = openStore(t, own.freshUrl());
  const record = fresh();
  await store.create(record);
  await own.freeze();
  const started = Date.now();
  const calls = [
    store.check(),
    store.find(record.id),
    store.update(record.id, count),
    store.remove(record.id),
  ];
  for (const [index, call] of (await Promise.allSettled(calls)).entries()) {
    const isAway = call.status === 'rejected' && hasCode(call.reason, 'store.unavailable');
    assert.ok(isAway, `call ${String(index)}: ${inspect(call)}`);
  }
  assert.ok(Date.now() - started < IN_TIME_MS);
  const pending = assert.rejects(store.find(record.id), { code: 'store.unavailable' });
  await store.close();
  await pending;
  await store.close();
  assert.ok(Date.now() - started < IN_TIME_MS);
});

test('several stores that make the indexes at once make each of them once', async (t) => {
  const url = server.freshUrl();
  const logs = Array.from({ length: 5 }, recordedLog);
  const stores = logs.map((log) => openStore(t, url, log));
  await Promise.all(stores.map((store) => store.create(fresh())));
  const client = new MongoClient(url);
  t.after(() => client.close());
  const names = await eventually('the indexes are there', async () => {
    const indexes = await client.db().collection('conversions').indexes();
    return indexes.length > INDEXES.length ? indexes.map(({ name }) => name) : undefined;
  });
  // Besides ours there is the one of _id.
  assert.equal(new Set(names).size, INDEXES.length + 1);
  assert.equal(names.length, INDEXES.length + 1);
  await Promise.all(stores.map((store) => store.close()));
  assert.deepEqual(
    logs.flatMap(({ entries }) => entries),
    [],
  );
});
