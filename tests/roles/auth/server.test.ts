import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { hasCode } from '../../../src/domain/errors.ts';
import { startAuthServer } from '../../../src/services/auth/server.ts';
import { basic, post, runAuth } from '../../support/auth-server.ts';

const GOOD = { authorization: basic('georgio@email.com', 'Admin123') };

for (const [type, body] of [
  ['application/x-www-form-urlencoded', 'email=a&password=b'],
  ['application/json', '{not json'],
  ['multipart/form-data', 'no boundary'],
  ['no type at all', 'x'],
  [';;;', 'x'],
  ['application/octet-stream', 'x'.repeat(3_000_000)],
] as const) {
  test(`a body of ${type} with ${String(body.length)} characters is of no matter`, async (t) => {
    const { url } = await runAuth(t);
    const login = await post(`${url}/login`, { ...GOOD, 'content-type': type }, body);
    assert.equal(login.status, 200);
    const headers = { authorization: `Bearer ${login.text}`, 'content-type': type };
    assert.equal((await post(`${url}/validate`, headers, body)).status, 200);
  });
}

/** Sends raw bytes and gives back all that comes until the server closes. */
async function sendRaw(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(request);
  return await text(socket);
}

test('a body without a type, whole, in chunks or never sent, is of no matter', async (t) => {
  const { url } = await runAuth(t);
  const head = `POST /login HTTP/1.1\r\nHost: x\r\nAuthorization: ${GOOD.authorization}\r\nConnection: close\r\n`;
  for (const body of [
    'Content-Length: 3\r\n\r\nabc',
    'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'Content-Length: 1000\r\n\r\n',
  ]) {
    assert.match(await sendRaw(url, head + body), /^HTTP\/1\.1 200 /, body);
  }
});

test('other paths answer 404, wrong methods 405 with Allow', async (t) => {
  const { url } = await runAuth(t);
  for (const path of ['/', '/logins', '/Login', '/login/', '/api/v1/sessions']) {
    const response = await fetch(url + path);
    assert.deepEqual([response.status, await response.text()], [404, 'not found'], path);
  }
  for (const [method, path, allow] of [
    ['GET', '/login', 'POST'],
    ['HEAD', '/login?x=1', 'POST'],
    ['DELETE', '/validate', 'POST'],
    ['PUT', '/validate?x', 'POST'],
    ['GET', '/api/v1/users', 'POST'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['DELETE', '/readyz', 'GET, HEAD'],
  ] as const) {
    const response = await fetch(url + path, { method });
    const expected = method === 'HEAD' ? '' : 'method not allowed';
    assert.deepEqual(
      [response.status, response.headers.get('allow'), await response.text()],
      [405, allow, expected],
      `${method} ${path}`,
    );
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  }
});

test('a path that cannot be decoded answers 400 in plain text', async (t) => {
  const { url } = await runAuth(t);
  const response = await fetch(`${url}/%zz`);
  assert.deepEqual([response.status, await response.text()], [400, 'bad request']);
});

test('the probes tell life and readiness, HEAD without a body', async (t) => {
  const { url, checks } = await runAuth(t);
  const health = await fetch(`${url}/healthz`);
  assert.deepEqual([health.status, await health.json()], [200, { status: 'ok' }]);
  checks.push({ name: 'users', ok: true });
  const ready = await fetch(`${url}/readyz`);
  assert.deepEqual([ready.status, await ready.json()], [200, { ready: true, checks }]);
  checks.push({ name: 'broker', ok: false, message: 'does not answer' });
  const red = await fetch(`${url}/readyz`);
  assert.deepEqual([red.status, await red.json()], [503, { ready: false, checks }]);
  const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('every answer carries a request id: the sane one of the client, or a new one', async (t) => {
  const { url } = await runAuth(t);
  const idOf = async (id: string): Promise<string | null> =>
    (await fetch(`${url}/nowhere`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
  assert.equal(await idOf('abc-123.x'), 'abc-123.x');
  assert.match((await idOf('a b')) ?? '', /^[0-9a-f-]{36}$/);
  assert.match((await idOf('x'.repeat(200))) ?? '', /^[0-9a-f-]{36}$/);
});

test('one line per request is logged, with status and duration', async (t) => {
  const { url, log } = await runAuth(t);
  await post(`${url}/login?x=1`, GOOD);
  const line = log.entries.find((entry) => entry.message === 'request answered');
  assert.equal(line?.level, 'info');
  assert.equal(line.fields.path, '/login');
  assert.equal(line.fields.status, 200);
  assert.equal(typeof line.fields.durationMs, 'number');
});

test('a port that is taken, and a proxy that is no address, are told', async (t) => {
  const { url, auth, log } = await runAuth(t);
  const context = { auth, log, readiness: () => Promise.resolve({ ready: true, checks: [] }) };
  const options = { host: '127.0.0.1', port: 0, trustedProxies: [], loginResponse: 'text' } as const;
  await assert.rejects(
    startAuthServer(context, { ...options, port: Number(new URL(url).port) }),
    (error: unknown) => hasCode(error, 'host.port-taken'),
  );
  await assert.rejects(
    startAuthServer(context, { ...options, trustedProxies: ['nonsense'] }),
    (error: unknown) => hasCode(error, 'config.invalid'),
  );
});

test('a stop ends in bounded time though a client never ends its request', async (t) => {
  const { auth, log } = await runAuth(t);
  const role = await startAuthServer(
    { auth, log, readiness: () => Promise.resolve({ ready: true, checks: [] }) },
    { host: '127.0.0.1', port: 0, trustedProxies: [], loginResponse: 'text' },
  );
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(role.url ?? '').port) });
  t.after(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('error', () => undefined);
  socket.write('POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n');
  const start = Date.now();
  await role.stop(100);
  assert.ok(Date.now() - start < 5000);
});
