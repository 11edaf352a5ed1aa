import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { openGateway } from './gateway-fixture.ts';
import { call, expectProblem, type Json } from './api-calls.ts';

void test('the service tells what it is and allows', async (t) => {
  const gateway = await openGateway(t, { registration: 'closed' });
  const { status, body } = await call(gateway, 'GET', '/service', { token: '' });
  assert.equal(status, 200);
  const expected = {
    name: 'audiowave',
    version: '1.2.3',
    registration: 'closed',
    outbox: false,
    maxUploadBytes: 1048576,
  };
  assert.deepEqual(body, expected);
});

void test('a session is made from e-mail address and password', async (t) => {
  const gateway = await openGateway(t);
  const json = { email: 'ann@example.com', password: 'secret' };
  const good = await call(gateway, 'POST', '/sessions', { token: '', json });
  assert.deepEqual([good.status, good.body], [201, { token: 'ann', expiresAt: '2100-01-01T00:00:00.000Z' }]);
  const wrong = await call(gateway, 'POST', '/sessions', { token: '', json: { ...json, password: 'x' } });
  expectProblem(wrong, 401, 'auth.invalid-credentials');
  gateway.auth.failWith = new AudiowaveError('auth.too-many-attempts', undefined, { retryAfterSeconds: 3 });
  expectProblem(await call(gateway, 'POST', '/sessions', { token: '', json }), 429, 'auth.too-many-attempts');
  gateway.auth.failWith = new AudiowaveError('auth.busy');
  expectProblem(await call(gateway, 'POST', '/sessions', { token: '', json }), 503, 'auth.busy');
});

void test('a malformed body names its fields', async (t) => {
  const gateway = await openGateway(t);
  const missing = await call(gateway, 'POST', '/sessions', { json: { email: 7 } });
  expectProblem(missing, 400, 'request.malformed');
  const errors = missing.body.errors as { path: string; message: string }[];
  assert.ok(
    errors.some(({ path }) => path === '/body/email'),
    JSON.stringify(errors),
  );
  for (const body of ['', '{', '[]', '"x"', 'null']) {
    const headers = { 'content-type': 'application/json' };
    expectProblem(await call(gateway, 'POST', '/sessions', { body, headers }), 400, 'request.malformed');
  }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'a/b;;=']) {
    const answer = await call(gateway, 'POST', '/sessions', {
      body: 'x=1',
      headers: { 'content-type': type },
    });
    expectProblem(answer, 400, 'request.malformed');
  }
  const big = { email: 'x'.repeat(20_000), password: 'x' };
  expectProblem(await call(gateway, 'POST', '/sessions', { json: big }), 413, 'request.too-large');
});

void test('an account is made where registration is open', async (t) => {
  const gateway = await openGateway(t);
  const register = (email: string): ReturnType<typeof call> =>
    call(gateway, 'POST', '/users', { token: '', json: { email, password: 'secret' } });
  const made = await register('new@example.com');
  const createdAt = '2023-11-14T22:13:20.000Z';
  assert.deepEqual(
    [made.status, made.body],
    [201, { id: '7', email: 'new@example.com', role: 'user', createdAt }],
  );
  expectProblem(await register('ann@example.com'), 409, 'user.exists');
  expectProblem(await register('nonsense'), 422, 'user.invalid-email');
  const closed = await openGateway(t, { registration: 'closed' });
  const json = { email: 'new@example.com', password: 'secret' };
  expectProblem(await call(closed, 'POST', '/users', { token: '', json }), 403, 'auth.registration-closed');
});

void test('me is who the token says', async (t) => {
  const gateway = await openGateway(t);
  const me = async (token: string): Promise<Json> =>
    (await call(gateway, 'GET', '/users/me', { token })).body;
  assert.deepEqual(await me('root'), { email: 'root@example.com', role: 'admin' });
  assert.deepEqual(await me('bob'), { email: 'bob@example.com', role: 'user' });
});

void test('the outbox shows the caller’s own mails, where there is one', async (t) => {
  const without = await openGateway(t);
  expectProblem(await call(without, 'GET', '/outbox'), 404, 'request.not-found');
  const asked: string[] = [];
  const outbox = {
    list: (to: string) => {
      asked.push(to);
      return Promise.resolve([{ name: '1.eml', to, subject: 'MP3 Download', text: 'ready', sentAt: 0 }]);
    },
  };
  const gateway = await openGateway(t, {}, { outbox });
  const { body } = await call(gateway, 'GET', '/outbox');
  const sentAt = '1970-01-01T00:00:00.000Z';
  const mail = { name: '1.eml', to: 'ann@example.com', subject: 'MP3 Download', text: 'ready', sentAt };
  assert.deepEqual([body, asked], [{ items: [mail] }, ['ann@example.com']]);
  assert.equal((await call(gateway, 'GET', '/service')).body.outbox, true);
});

void test('unknown paths and wrong methods are problems, and a sane request id is kept', async (t) => {
  const gateway = await openGateway(t);
  expectProblem(await call(gateway, 'GET', '/nothing'), 404, 'request.not-found');
  const wrong = await call(gateway, 'PUT', '/conversions', { json: {} });
  expectProblem(wrong, 405, 'request.method-not-allowed');
  assert.equal(wrong.headers.get('allow'), 'GET, HEAD, POST');
  const given = await call(gateway, 'GET', '/nothing', { headers: { 'x-request-id': 'abc-123' } });
  assert.equal(given.headers.get('x-request-id'), 'abc-123');
  const insane = await call(gateway, 'GET', '/nothing', { headers: { 'x-request-id': 'a b{}' } });
  assert.match(insane.headers.get('x-request-id') ?? '', /^[\da-f-]{36}$/);
});

void test('the probes answer', async (t) => {
  const checks = [{ name: 'broker', ok: false, message: 'away' }];
  const gateway = await openGateway(t, {}, { readiness: () => Promise.resolve({ ready: false, checks }) });
  const health = await fetch(`${gateway.url}/healthz`);
  assert.deepEqual([health.status, await health.json()], [200, { status: 'ok' }]);
  const ready = await fetch(`${gateway.url}/readyz`);
  assert.deepEqual([ready.status, await ready.json()], [503, { ready: false, checks }]);
});
