import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect, createServer as createTcpServer } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { createServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import {
  type MongoClient,
  MongoNetworkError,
  MongoNetworkTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} from 'mongodb';
import { MongoDatabase } from '../../src/adapters/mongodb/client.ts';
import { storeError, troubleOf } from '../../src/adapters/mongodb/mongo-errors.ts';
import { AudiowaveError, hasCode } from '../../src/domain/errors.ts';
import { listen } from '../support/listen.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { freePort } from '../support/servers/server-process.ts';

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

const PLACE = { shown: 'mongodb://db:27017/audiowave', user: 'ann', secrets: ['s3cret'] };

function openDatabase(t: TestContext, url: string, log = recordedLog()): MongoDatabase {
  const database = MongoDatabase.open(url, { log, database: 'audiowave' });
  t.after(() => database.close());
  return database;
}

test('each failure of a server is told as what it is', () => {
  const codes: [number, ReturnType<typeof troubleOf>][] = [
    [13, 'refused'],
    [18, 'refused'],
    [8000, 'refused'],
    [14031, 'full'],
    [10107, 'away'],
    [11600, 'away'],
    [189, 'away'],
    [64, 'away'],
    [59, 'other'],
    [11000, 'other'],
  ];
  for (const [code, trouble] of codes) {
    assert.equal(troubleOf(new MongoServerError({ message: 'x', code })), trouble, String(code));
  }
  const quota = 'you are over your space quota, using 513 MB of 512 MB';
  assert.equal(troubleOf(new MongoServerError({ message: quota, code: 8000 })), 'full');
  const unreached = new MongoWriteConcernError({
    writeConcernError: { code: 64, errmsg: 'waiting for w' },
    ok: 1,
  });
  assert.equal(troubleOf(unreached), 'away');
  assert.equal(troubleOf(new MongoNetworkTimeoutError('connection timed out')), 'away');
  const refused = new MongoServerError({ message: 'Authentication failed.', code: 18 });
  assert.equal(troubleOf(new MongoNetworkError('pool was cleared', { cause: refused })), 'refused');
  assert.equal(troubleOf(Object.assign(new Error('querySrv ENOTFOUND'), { code: 'ENOTFOUND' })), 'away');
  // The driver lets this one through unwrapped where a server goes away while it writes.
  assert.equal(troubleOf(Object.assign(new Error('This socket has been ended'), { code: 'EPIPE' })), 'away');
  assert.equal(troubleOf(new TypeError('a mistake')), undefined);
  assert.equal(troubleOf(new AudiowaveError('conversion.exists')), undefined);
});

test('a failure is told in one line with server and reason, and without the password', () => {
  const told = (error: unknown): unknown => {
    const found = storeError(error, PLACE);
    assert.ok(found instanceof AudiowaveError);
    assert.doesNotMatch(`${found.message} ${found.detail ?? ''}`, /s3cret|\n/);
    return [found.code, found.detail];
  };
  const at = 'at mongodb://db:27017/audiowave';
  assert.deepEqual(told(new MongoServerError({ message: 'Authentication failed.', code: 18 })), [
    'store.unavailable',
    `Access denied for user 'ann' (Authentication failed. (code 18)) ${at}`,
  ]);
  assert.deepEqual(told(new MongoServerError({ message: 'No space\nfor s3cret', code: 14031 })), [
    'store.full',
    `No space for *** (code 14031) ${at}`,
  ]);
  const selection = new MongoServerSelectionError('Server selection timed out after 3000 ms', {
    servers: new Map([['db:27017', { error: new MongoNetworkError('connect ECONNREFUSED 10.0.0.1:27017') }]]),
  } as never);
  assert.deepEqual(told(selection), ['store.unavailable', `connect ECONNREFUSED 10.0.0.1:27017 ${at}`]);
  const mistake = new TypeError('a mistake');
  assert.equal(storeError(mistake, PLACE), mistake);
});

test('a URL that nobody can read is config.invalid, and is not repeated in the message', () => {
  const urls = [
    'http://ann:s3cret@db/',
    'mongodb://ann:s3cret@/x',
    'mongodb://ann:s3cret@word@db/',
    'mongodb://ann:s3cret%zz@db/',
    'mongodb://ann:s3cret@db:99999/',
    'mongodb://ann:s3cret@db/?nope=1',
    'mongodb+srv://ann:s3cret@db:27017/',
    'mongodb://ann:s3cret@db/?tls=maybe',
    '',
  ];
  for (const url of urls) {
    const open = (): unknown => MongoDatabase.open(url, { log: recordedLog(), database: 'audiowave' });
    assert.throws(open, (error) => {
      assert.ok(hasCode(error, 'config.invalid'), url);
      assert.doesNotMatch(`${error.message} ${error.detail ?? ''}`, /s3cret/);
      return true;
    });
  }
});

test('what the URL says of the place and the credentials is understood, and its password not shown', async (t) => {
  const url = 'mongodb://ann%40x:s3%2Fcret@a:1,b:2/mp3s?replicaSet=rs0&tls=true&w=1&readPreference=secondary';
  const database = openDatabase(t, url);
  assert.equal(database.shown, 'mongodb://a:1,b:2/mp3s');
  assert.equal(database.db.databaseName, 'mp3s');
  const { options } = database.db.client;
  assert.equal(options.credentials?.username, 'ann@x');
  assert.equal(options.credentials.password, 's3/cret');
  assert.equal(options.credentials.source, 'mp3s');
  assert.equal(options.tls, true);
  assert.deepEqual([options.writeConcern.w, options.writeConcern.journal], ['majority', true]);
  assert.equal(database.db.readPreference.mode, 'primary');
  assert.equal(openDatabase(t, 'mongodb://a:1,b:2/').db.databaseName, 'audiowave');
  await database.close();
});

test('databases of one server share a client until the last one is closed', async (t) => {
  const videos = openDatabase(t, server.freshUrl());
  const mp3s = openDatabase(t, server.freshUrl());
  assert.equal(videos.db.client, mp3s.db.client);
  assert.notEqual(videos.db.databaseName, mp3s.db.databaseName);
  await videos.check();
  await videos.close();
  await videos.close();
  await assert.rejects(videos.check(), { code: 'store.unavailable' });
  await mp3s.check();
  await mp3s.close();
  const again = openDatabase(t, server.freshUrl());
  assert.notEqual(again.db.client, mp3s.db.client);
  await again.check();
});

test('databases that need other credentials or options share no client', (t) => {
  const client = (url: string): MongoClient => openDatabase(t, url).db.client;
  const first = client('mongodb://ann:x@db/videos?authSource=admin');
  assert.equal(client('mongodb://ann:x@db/mp3s?authSource=admin'), first);
  assert.notEqual(client('mongodb://bob:x@db/mp3s?authSource=admin'), first);
  assert.notEqual(client('mongodb://ann:x@db/mp3s?authSource=admin&tls=true'), first);
  // Without authSource a user stands in the database that the URL names.
  assert.notEqual(client('mongodb://ann:x@db/videos'), client('mongodb://ann:x@db/mp3s'));
});

test('refused credentials are told of once, and not shown again at once', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const log = recordedLog();
  const database = openDatabase(t, server.freshUrl(), log);
  let isRefused = true;
  const work = t.mock.fn(() =>
    isRefused
      ? Promise.reject(new MongoServerError({ message: 'Authentication failed.', code: 18 }))
      : Promise.resolve('in'),
  );
  for (let n = 0; n < 5; n += 1) {
    await assert.rejects(database.bridge(work), { code: 'store.unavailable', detail: /^Access denied/ });
  }
  assert.equal(work.mock.callCount(), 1);
  t.mock.timers.tick(30_000);
  await assert.rejects(database.bridge(work), { code: 'store.unavailable' });
  assert.equal(work.mock.callCount(), 2);
  t.mock.timers.tick(30_000);
  isRefused = false;
  assert.equal(await database.answer(work), 'in');
  assert.deepEqual(
    log.entries.map(({ level, message }) => [level, message]),
    [
      ['warn', 'MongoDB refuses our credentials.'],
      ['info', 'MongoDB answers again.'],
    ],
  );
});

test('a login by URL is taken; one that the server refuses is told of in check(), without the password', async (t) => {
  const guarded = await startMongoDb({ login: 'ann:s3cret' });
  t.after(() => guarded.stop());
  const url = (login: string): string =>
    `${guarded.freshUrl().replace('//', `//${login}@`)}?authMechanism=PLAIN`;
  await openDatabase(t, url('ann:s3cret')).check();
  const log = recordedLog();
  const refused = openDatabase(t, url('ann:gu3ssed'), log);
  for (let n = 0; n < 3; n += 1) {
    await assert.rejects(refused.check(), (error) => {
      assert.ok(hasCode(error, 'store.unavailable'));
      assert.match(error.detail ?? '', /^Access denied for user 'ann' .* at mongodb:\/\/127\.0\.0\.1:\d+\//);
      return true;
    });
  }
  assert.equal(log.entries.length, 1);
  assert.doesNotMatch(JSON.stringify(log.entries), /gu3ssed/);
});

test('TLS by URL: the certificate is checked', async (t) => {
  const file = (name: string): string => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));
  const [key, cert] = await Promise.all([readFile(file('localhost.key')), readFile(file('localhost.crt'))]);
  const plain = server.freshUrl();
  const front = createServer({ key, cert }, (client) => {
    const upstream = connect(Number(new URL(plain).port), '127.0.0.1');
    client.on('error', () => upstream.destroy()).pipe(upstream);
    upstream.on('error', () => client.destroy()).pipe(client);
  });
  const port = await listen(t, front);
  const url = `mongodb://localhost:${String(port)}${new URL(plain).pathname}?tls=true`;
  await openDatabase(t, `${url}&tlsCAFile=${encodeURIComponent(file('mail-authority.crt'))}`).check();
  const distrusting = openDatabase(t, url);
  await assert.rejects(distrusting.check(), {
    code: 'store.unavailable',
    detail: /certificate.* at mongodb:/,
  });
  const unencrypted = openDatabase(t, url.replace('tls=true', 'tls=false'));
  await assert.rejects(unencrypted.check(), { code: 'store.unavailable' });
});

test('a full disk is store.full at once, not waited for', async (t) => {
  const log = recordedLog();
  const database = openDatabase(t, server.freshUrl(), log);
  const work = t.mock.fn(() =>
    Promise.reject(new MongoServerError({ message: 'No disk space', code: 14031 })),
  );
  await assert.rejects(database.bridge(work), { code: 'store.full' });
  assert.equal(work.mock.callCount(), 1);
});

test('check() says within 2 s which server does not answer, and why where that is known', async (t) => {
  const checked = async (url: string): Promise<{ detail: string; lastedMs: number }> => {
    const begun = Date.now();
    const error: unknown = await openDatabase(t, url)
      .check()
      .catch((thrown: unknown) => thrown);
    assert.ok(hasCode(error, 'store.unavailable'), String(error));
    return { detail: error.detail ?? '', lastedMs: Date.now() - begun };
  };
  const nobody = await checked(`mongodb://127.0.0.1:${String(await freePort())}/mp3s`);
  assert.match(
    nobody.detail,
    /^connect ECONNREFUSED 127\.0\.0\.1:\d+ at mongodb:\/\/127\.0\.0\.1:\d+\/mp3s$/,
  );
  const mute = await listen(t, createTcpServer());
  const silent = await checked(`mongodb://127.0.0.1:${String(mute)}/mp3s`);
  assert.match(silent.detail, /^no answer within \d+ ms at mongodb:\/\/127\.0\.0\.1:\d+\/mp3s$/);
  for (const { lastedMs } of [nobody, silent]) assert.ok(lastedMs < 2_000, String(lastedMs));
});

test('what the stores promise of a write and a read stands, whatever the URL says', (t) => {
  const weak = 'w=0&journal=false&wtimeoutMS=1&readConcernLevel=local&readPreference=secondary';
  const { db } = openDatabase(t, `mongodb://127.0.0.1:1/audiowave?${weak}`);
  assert.deepEqual([db.writeConcern?.w, db.writeConcern?.journal], ['majority', true]);
  assert.equal(db.writeConcern?.wtimeoutMS, undefined);
  assert.deepEqual([db.readConcern?.level, db.readPreference.mode], ['majority', 'primary']);
});
