import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { MySqlUserStore } from '../../../src/adapters/mysql/user-store.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { startLossyProxy } from '../../support/lossy-proxy.ts';
import { recordedLog, type LogEntry } from '../../support/recorded-log.ts';
import { startMariaDb, type MariaDb } from '../../support/servers/mariadb.ts';

// A database that is away, dies, hangs, or does not let us in.

let mariadb: MariaDb;
before(async () => {
  mariadb = await startMariaDb();
});
after(() => mariadb.stop());

interface Opened {
  readonly store: MySqlUserStore;
  readonly log: ReturnType<typeof recordedLog>;
}

function open(t: TestContext, url: string): Opened {
  const log = recordedLog();
  const store = MySqlUserStore.open(url, { log, refusalHoldsMs: 500 });
  t.after(() => store.close());
  return { store, log };
}

/** What check() says is wrong. */
async function complaint(store: MySqlUserStore): Promise<string> {
  const error: unknown = await store.check().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AudiowaveError, 'check() resolved');
  assert.equal(error.code, 'store.unavailable');
  assert.doesNotMatch(`${error.message} ${error.detail ?? ''}`, /\n|Auth123|wrong/);
  return error.message;
}

/** The lines of a log that somebody who watches over it sees. */
function lines(entries: readonly LogEntry[]): string[] {
  return entries.map(({ level, message }) => `${level}: ${message}`);
}

const AWAY = 'warn: user database cannot be used; trying again';
const REFUSED = 'error: user database refuses us; trying again slowly';
const FITTING = 'info: making or fitting the user table; a big one takes a while';
const BACK = 'info: user database answers again';

test('a server that is away at open is waited for, and its table is made when it comes', async (t) => {
  const url = await mariadb.database();
  await mariadb.kill();
  const { store, log } = open(t, url);
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(store.findByEmail('ann@email.com'), { code: 'store.unavailable' });
  }
  assert.match(await complaint(store), /ECONNREFUSED.* \(mysql:\/\/127\.0\.0\.1:\d+\/test_\w+\)$/);
  await mariadb.restart();
  // No call asks for it: the store itself looks for the server.
  await eventually('the table is made', async () => {
    const connection = await mariadb.connect({ database: new URL(url).pathname.slice(1) });
    try {
      return await connection.query('SELECT audiowave_email FROM user');
    } finally {
      await connection.end();
    }
  });
  assert.deepEqual(await store.list(), []);
  assert.deepEqual(lines(log.entries), [AWAY, FITTING, BACK]);
});

test('a server that was killed and restarted costs no call an error, and nothing that was answered', async (t) => {
  const { store, log } = open(t, await mariadb.database());
  await store.add({ email: 'ann@email.com', password: 'old', role: 'user' });
  // Several connections, all of which die.
  await Promise.all(Array.from({ length: 16 }, () => store.findByEmail('ann@email.com')));
  await mariadb.kill();
  await mariadb.restart();
  const found = await Promise.all(Array.from({ length: 16 }, () => store.findByEmail('ann@email.com')));
  assert.ok(found.every((user) => user?.password === 'old'));
  await mariadb.kill();
  await mariadb.restart();
  assert.equal(await store.replacePassword('ann@email.com', 'old', 'new'), true);
  await mariadb.kill();
  await assert.rejects(store.findByEmail('ann@email.com'), { code: 'store.unavailable' });
  await assert.rejects(store.add({ email: 'b@email.com', password: 'x', role: 'user' }), {
    code: 'store.unavailable',
  });
  await mariadb.restart();
  assert.equal((await store.findByEmail('ann@email.com'))?.password, 'new');
  assert.deepEqual(lines(log.entries).slice(-2), [AWAY, BACK]);
});

test('a server killed in the middle of many calls leaves each of them done or store.unavailable', async (t) => {
  const { store } = open(t, await mariadb.database());
  await store.check();
  const calls = Array.from({ length: 200 }, (_, n) =>
    store.add({ email: `user${String(n)}@email.com`, password: 'x', role: 'user' }),
  );
  await Promise.race(calls);
  await mariadb.kill();
  const results = await Promise.allSettled(calls);
  await mariadb.restart();
  const kept = new Set((await store.list()).map((user) => user.email));
  let failed = 0;
  for (const [n, result] of results.entries()) {
    if (result.status === 'fulfilled') assert.ok(kept.has(`user${String(n)}@email.com`), 'answered, so kept');
    else {
      failed += 1;
      assert.equal((result.reason as AudiowaveError).code, 'store.unavailable');
    }
  }
  assert.ok(failed > 0, 'the server was killed after the last call');
});

test('a server that hangs lets every call end within 5 s, and serves again when it goes on', async (t) => {
  const { store } = open(t, await mariadb.database());
  await store.check();
  await mariadb.freeze();
  t.after(() => {
    mariadb.thaw();
  });
  const begin = performance.now();
  const calls = await Promise.allSettled([
    ...Array.from({ length: 30 }, () => store.findByEmail('ann@email.com')),
    store.add({ email: 'ann@email.com', password: 'x', role: 'user' }),
  ]);
  assert.ok(performance.now() - begin < 6_000, 'a call lasted beyond its deadline');
  for (const call of calls) {
    assert.equal(call.status === 'rejected' && (call.reason as AudiowaveError).code, 'store.unavailable');
  }
  mariadb.thaw();
  await store.check();
  assert.equal(await store.findByEmail('nobody@email.com'), undefined);
});

test('close() ends within 3 s though the server hangs, with all calls and connections, and twice is harmless', async (t) => {
  const url = new URL(await mariadb.database());
  const proxy = await startLossyProxy(t, mariadb.port);
  url.port = String(proxy.port);
  const { store } = open(t, url.href);
  await store.check();
  await mariadb.freeze();
  t.after(() => {
    mariadb.thaw();
  });
  const call = assert.rejects(store.findByEmail('ann@email.com'), { code: 'store.unavailable' });
  const begin = performance.now();
  await Promise.all([store.close(), store.close()]);
  await call;
  assert.ok(performance.now() - begin < 3_000);
  await eventually('no connection is left', () => proxy.connections() === 0);
});

test('connections that died unnoticed cost no call an error, however many there are', async (t) => {
  const url = new URL(await mariadb.database());
  const proxy = await startLossyProxy(t, mariadb.port);
  url.port = String(proxy.port);
  const { store } = open(t, url.href);
  await Promise.all(Array.from({ length: 40 }, () => store.list()));
  assert.ok(proxy.connections() >= 5, `${String(proxy.connections())} connections`);
  proxy.forget();
  assert.deepEqual(await store.list(), []);
});

test('wrong credentials are said in one line, tried slowly, and good as soon as they are right', async (t) => {
  const url = new URL(await mariadb.database());
  const root = await mariadb.connect();
  t.after(() => root.end());
  await root.query("CREATE USER 'stranger'@'%' IDENTIFIED BY 'right'");
  await root.query("GRANT ALL ON *.* TO 'stranger'@'%'");
  url.username = 'stranger';
  url.password = 'wrong-one';
  const { store, log } = open(t, url.href);
  assert.match(
    await complaint(store),
    /^Access denied for user 'stranger'@'[^']+' \(using password: YES\) \(mysql:\/\/127\.0\.0\.1:\d+\/test_\w+\)$/,
  );
  const refusals = async (): Promise<number> => {
    const [rows] = await root.query("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'");
    return Number((rows as [{ Value: string }])[0].Value);
  };
  const before = await refusals();
  for (let round = 0; round < 50; round += 1) await complaint(store);
  assert.ok((await refusals()) - before <= 2, 'the server was asked again and again');
  assert.deepEqual(lines(log.entries), [REFUSED]);
  await root.query("ALTER USER 'stranger'@'%' IDENTIFIED BY 'wrong-one'");
  await eventually('the store answers', () => store.check().then(() => true));
  assert.deepEqual(lines(log.entries), [REFUSED, FITTING, BACK]);
});

test('a database that is not there, and rights that are missing, are named', async (t) => {
  const { store } = open(t, mariadb.urlOf('not_there'));
  assert.match(await complaint(store), /^Unknown database 'not_there' \(mysql:/);
  const url = new URL(await mariadb.database());
  const root = await mariadb.connect();
  t.after(() => root.end());
  await root.query("CREATE USER 'reader'@'%' IDENTIFIED BY 'x'");
  await root.query(`GRANT SELECT ON ${url.pathname.slice(1)}.* TO 'reader'@'%'`);
  url.username = 'reader';
  url.password = 'x';
  assert.match(await complaint(open(t, url.href).store), /^CREATE command denied to user 'reader'/);
});

test('a server that demands TLS is entered with its certificate checked', async (t) => {
  const secure = await startMariaDb({ tls: true });
  t.after(() => secure.stop());
  const url = (await secure.database()).replace('127.0.0.1', 'localhost');
  const { store } = open(t, `${url}?tls_ca=${encodeURIComponent(secure.certificateFile ?? '')}`);
  await store.add({ email: 'ann@email.com', password: 'x', role: 'user' });
  const unchecked = open(t, `${url}?tls=unchecked`).store;
  assert.equal((await unchecked.list()).length, 1);
  // MariaDB 10.11 says no more than this where it is entered without TLS.
  assert.match(await complaint(open(t, url).store), /^Access denied .* \(mysql:/);
  assert.match(await complaint(open(t, `${url}?tls=on`).store), /self-signed certificate/);
});

test('a server whose certificate is for another name is not entered', async (t) => {
  const other = await startMariaDb({ tls: true, certificateName: 'mysql.example' });
  t.after(() => other.stop());
  const url = (await other.database()).replace('127.0.0.1', 'localhost');
  const { store } = open(t, `${url}?tls_ca=${encodeURIComponent(other.certificateFile ?? '')}`);
  assert.match(await complaint(store), /does not match certificate/);
});

test('a server without TLS is not entered where TLS is asked for', async (t) => {
  const { store } = open(t, `${await mariadb.database()}?tls=unchecked`);
  assert.match(await complaint(store), /does not support secure connection/i);
});
