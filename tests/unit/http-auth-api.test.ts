import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { HttpAuthApi } from '../../src/adapters/http/auth-api.ts';
import { ClaimsCache } from '../../src/adapters/http/claims-cache.ts';
import { AudiowaveError, hasCode } from '../../src/domain/errors.ts';
import { startForeignAuth, type ForeignAuth } from '../support/foreign-auth.ts';
import { foreignClaims, foreignToken } from '../support/foreign-token.ts';
import { listen } from '../support/listen.ts';
import { recordedLog } from '../support/recorded-log.ts';

const GEORGIO = { email: 'georgio@email.com', password: 'Admin123', clientAddress: '192.0.2.7' };
const TOKEN = foreignToken('sarcasm', foreignClaims('georgio@email.com'));

function openAt(t: TestContext, url: string): { api: HttpAuthApi; log: ReturnType<typeof recordedLog> } {
  const log = recordedLog();
  const api = HttpAuthApi.open(url, { log });
  t.after(() => api.close());
  return { api, log };
}

async function openForeign(t: TestContext): Promise<ReturnType<typeof openAt> & { foreign: ForeignAuth }> {
  const foreign = await startForeignAuth(t);
  return { ...openAt(t, foreign.url), foreign };
}

test("another implementation's auth logs in, validates and refuses", async (t) => {
  const { api, foreign } = await openForeign(t);
  const token = await api.login(GEORGIO);
  const claims = await api.validate(token);
  assert.deepEqual([claims.username, claims.admin, claims.role], ['georgio@email.com', true, undefined]);
  await assert.rejects(api.login({ ...GEORGIO, password: 'x' }), { code: 'auth.invalid-credentials' });
  const wrong = foreignToken('another secret', foreignClaims('georgio@email.com'));
  await assert.rejects(api.validate(wrong), { code: 'auth.invalid-token' });
  assert.equal(foreign.requests[0]?.headers['x-forwarded-for'], '192.0.2.7');
  await api.check();
});

test('what is no token is refused without asking, since others crash on it', async (t) => {
  const { api, foreign } = await openForeign(t);
  for (const token of ['', 'x', 'a b.c.d', 'a.b', 'a.b.c\r\nx: y', 'ü.b.c']) {
    await assert.rejects(api.validate(token), { code: 'auth.invalid-token' });
  }
  await assert.rejects(api.login({ ...GEORGIO, email: 'a:b@email.com' }), {
    code: 'auth.invalid-credentials',
  });
  assert.deepEqual(foreign.requests, []);
});

test('nobody registers where auth has no such route', async (t) => {
  const { api, foreign } = await openForeign(t);
  await assert.rejects(api.register(GEORGIO), { code: 'auth.registration-closed' });
  foreign.reply = (response) => response.writeHead(401).end('missing credentials');
  await assert.rejects(api.register(GEORGIO), { code: 'auth.registration-closed' });
});

test('a token that was good is asked about once in a while, one that was not each time', async (t) => {
  const { api, foreign } = await openForeign(t);
  const [first, ...others] = [
    await api.validate(TOKEN),
    await api.validate(TOKEN),
    await api.validate(TOKEN),
  ];
  for (const claims of others) assert.deepEqual(claims, first);
  assert.equal(foreign.requests.length, 1);
  const wrong = foreignToken('another secret', foreignClaims('georgio@email.com'));
  for (let n = 0; n < 2; n += 1) await assert.rejects(api.validate(wrong), { code: 'auth.invalid-token' });
  assert.equal(foreign.requests.length, 3);
});

test('claims are remembered for 10 s, never beyond the end of their token, and of 10,000 tokens at most', () => {
  let now = 1_000_000;
  const cache = new ClaimsCache(() => now);
  const claims = { username: 'ann@example.com', admin: true, iat: 0 };
  cache.put('long', { ...claims, exp: 5_000 });
  cache.put('short', { ...claims, exp: 1_003 });
  now += 2_999;
  assert.equal(cache.get('short')?.username, 'ann@example.com');
  now += 1;
  assert.equal(cache.get('short'), undefined);
  now += 6_999;
  assert.equal(cache.get('long')?.exp, 5_000);
  now += 1;
  assert.equal(cache.get('long'), undefined);
  for (let n = 0; n <= 10_000; n += 1) cache.put(String(n), { ...claims, exp: 5_000 });
  assert.equal(cache.get('0'), undefined);
  assert.equal(cache.get('1')?.exp, 5_000);
  assert.equal(cache.get('10000')?.exp, 5_000);
});

for (const [what, body] of [
  ['bare', TOKEN],
  ['with a line end', `${TOKEN}\n`],
  ['as JSON', JSON.stringify({ token: TOKEN })],
  ['as a JSON string', JSON.stringify(TOKEN)],
] as const) {
  test(`a token that is answered ${what} is read`, async (t) => {
    const { api, foreign } = await openForeign(t);
    foreign.reply = (response) => response.end(body);
    assert.equal(await api.login(GEORGIO), TOKEN);
  });
}

test('429 and 503 carry on how long to wait', async (t) => {
  const { api, foreign } = await openForeign(t);
  const fails = async (status: number, code: string, seconds: number | undefined): Promise<void> => {
    foreign.reply = (response) => response.writeHead(status, { 'retry-after': '17' }).end();
    await assert.rejects(api.login(GEORGIO), (error: unknown) => {
      assert.ok(error instanceof AudiowaveError);
      assert.deepEqual([error.code, error.retryAfterSeconds], [code, seconds]);
      return true;
    });
  };
  await fails(429, 'auth.too-many-attempts', 17);
  await fails(503, 'auth.busy', 17);
});

for (const [what, status, body] of [
  ['500', 500, 'internal server error'],
  ['502 of a proxy', 502, '<html>'],
  ['503 of a proxy', 503, 'no endpoints'],
  ['a page', 200, '<html>welcome</html>'],
  ['nothing', 200, ''],
  ['more than 64 KiB', 200, 'x'.repeat(100_000)],
] as const) {
  test(`an auth that answers ${what} is of no use: store.unavailable`, async (t) => {
    const { api, foreign } = await openForeign(t);
    foreign.reply = (response) => response.writeHead(status).end(body);
    await assert.rejects(api.login(GEORGIO), { code: 'store.unavailable' });
    await assert.rejects(api.validate(TOKEN), { code: 'store.unavailable' });
    await assert.rejects(api.register(GEORGIO), { code: 'store.unavailable' });
  });
}

test('an auth that is away is store.unavailable, is said once, and is found when it comes back', async (t) => {
  const foreign = await startForeignAuth(t);
  const { port } = new URL(foreign.url);
  const probe = createServer();
  const freed = await listen({ after: () => undefined }, probe);
  await new Promise((resolve) => probe.close(resolve));
  const away = openAt(t, `http://127.0.0.1:${String(freed)}`);
  for (let n = 0; n < 3; n += 1) {
    await assert.rejects(away.api.login(GEORGIO), { code: 'store.unavailable' });
    await assert.rejects(away.api.validate(TOKEN), { code: 'store.unavailable' });
  }
  await assert.rejects(away.api.check(), (error: unknown) => {
    assert.ok(hasCode(error, 'store.unavailable'));
    assert.match(error.message, /^auth: .*ECONNREFUSED.* \(http:\/\/127\.0\.0\.1:\d+\)$/);
    return true;
  });
  assert.deepEqual(
    away.log.entries.map((entry) => entry.message),
    ['auth does not answer'],
  );
  const { api, log } = openAt(t, `http://127.0.0.1:${port}`);
  foreign.reply = (response) => response.destroy();
  await assert.rejects(api.login(GEORGIO), { code: 'store.unavailable' });
  foreign.reply = undefined;
  await api.login(GEORGIO);
  assert.deepEqual(
    log.entries.map((entry) => entry.message),
    ['auth does not answer', 'auth answers again'],
  );
});

test('a connection that was cut costs no call; a registration is not asked twice', async (t) => {
  const { api, foreign } = await openForeign(t);
  let cuts = 0;
  const cutOnce = (): void => {
    foreign.reply = (response) => {
      cuts += 1;
      foreign.reply = undefined;
      response.destroy();
    };
  };
  cutOnce();
  assert.ok(await api.login(GEORGIO));
  cutOnce();
  assert.ok(await api.validate(TOKEN));
  cutOnce();
  await assert.rejects(api.register(GEORGIO), { code: 'store.unavailable' });
  assert.equal(cuts, 3);
});

test('an answer that never ends is given up long before the deadline', async (t) => {
  const { api, foreign } = await openForeign(t);
  foreign.reply = (response) => {
    const pour = (): void => {
      while (!response.destroyed && response.write('x'.repeat(10_000)));
    };
    response.on('drain', pour);
    pour();
  };
  const begin = performance.now();
  await assert.rejects(api.validate(TOKEN), { code: 'store.unavailable' });
  assert.ok(performance.now() - begin < 2_500);
});

test('an auth that hangs is given up: by the deadline, and at once by the caller', async (t) => {
  const silent = createServer();
  const { api } = openAt(t, `http://127.0.0.1:${String(await listen(t, silent))}`);
  const begin = performance.now();
  const reason = new Error('gone');
  const caller = new AbortController();
  const left = assert.rejects(api.login(GEORGIO, caller.signal), reason);
  const late = assert.rejects(api.validate(TOKEN), { code: 'store.unavailable' });
  caller.abort(reason);
  await left;
  assert.ok(performance.now() - begin < 1_000);
  await late;
  assert.ok(performance.now() - begin < 6_000);
});

test('close() ends what runs, and what comes after it is store.unavailable', async (t) => {
  const silent = createServer();
  const { api } = openAt(t, `http://127.0.0.1:${String(await listen(t, silent))}`);
  const running = assert.rejects(api.login(GEORGIO), { code: 'store.unavailable' });
  const begin = performance.now();
  await api.close();
  await api.close();
  await running;
  assert.ok(performance.now() - begin < 3_000);
  await assert.rejects(api.validate(TOKEN), { code: 'store.unavailable' });
});

test('a URL is http or https, with a path or without, and carries nothing else', async (t) => {
  const foreign = await startForeignAuth(t);
  const { api } = openAt(t, `${foreign.url}/inner/`);
  await assert.rejects(api.login(GEORGIO), { code: 'store.unavailable' });
  assert.equal(foreign.requests[0]?.line, 'POST /inner/login');
  for (const url of ['auth:5000', 'ftp://auth', 'http://u:hidden@auth', 'http://auth?x=hidden', 'x']) {
    assert.throws(
      () => HttpAuthApi.open(url, { log: recordedLog() }),
      (error: unknown) => hasCode(error, 'config.invalid') && !error.message.includes('hidden'),
    );
  }
});
