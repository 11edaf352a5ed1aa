import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, runAuth } from '../../support/auth-server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const ANN = JSON.stringify({ email: 'ann@example.com', password: 'long enough' });

/** The problem that an answer carries. */
function problemOf(answer: Awaited<ReturnType<typeof post>>): Record<string, unknown> {
  assert.match(answer.type ?? '', /^application\/problem\+json/);
  return JSON.parse(answer.text) as Record<string, unknown>;
}

test('POST /api/v1/users makes an account where registration is open', async (t) => {
  const { url, users } = await runAuth(t, { registration: 'open' });
  const answer = await post(`${url}/api/v1/users`, JSON_TYPE, ANN);
  assert.equal(answer.status, 201);
  const body = JSON.parse(answer.text) as Record<string, string>;
  assert.deepEqual(Object.keys(body), ['id', 'email', 'role', 'createdAt']);
  const user = await users.findByEmail('ann@example.com');
  assert.deepEqual([body.id, body.role], [user?.id, 'user']);
  assert.equal(Date.parse(body.createdAt ?? ''), user?.createdAt);
  const again = await post(`${url}/api/v1/users`, {}, ANN);
  assert.deepEqual([again.status, problemOf(again).code], [409, 'user.exists']);
});

test('a closed registration is said as a problem, with the request id', async (t) => {
  const { url, users } = await runAuth(t);
  const answer = await post(`${url}/api/v1/users`, { ...JSON_TYPE, 'x-request-id': 'abc' }, ANN);
  assert.equal(answer.status, 403);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const problem = problemOf(answer);
  assert.deepEqual(
    [problem.code, problem.status, problem.retryable, problem.requestId],
    ['auth.registration-closed', 403, false, 'abc'],
  );
  assert.equal(await users.findByEmail('ann@example.com'), undefined);
});

for (const [what, body, status, code] of [
  ['no JSON', 'email=ann', 400, 'request.malformed'],
  ['nothing', '', 400, 'request.malformed'],
  ['null', 'null', 400, 'request.malformed'],
  ['no password', '{"email":"ann@example.com"}', 400, 'request.malformed'],
  ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1'), 400, 'request.malformed'],
  ['20 KiB', ANN + ' '.repeat(20_000), 413, 'request.too-large'],
  ['no address', '{"email":"ann","password":"long enough"}', 422, 'user.invalid-email'],
  ['a short password', '{"email":"ann@example.com","password":"x"}', 422, 'user.weak-password'],
] as const) {
  test(`a registration with ${what} is ${code}`, async (t) => {
    const { url } = await runAuth(t, { registration: 'open' });
    const answer = await post(`${url}/api/v1/users`, JSON_TYPE, body);
    assert.deepEqual([answer.status, problemOf(answer).code], [status, code]);
  });
}

test('a chunked body, whose length nobody knows, is refused', async (t) => {
  const { url } = await runAuth(t, { registration: 'open' });
  const response = await fetch(`${url}/api/v1/users`, {
    method: 'POST',
    body: new Blob([ANN]).stream(),
    duplex: 'half',
  });
  assert.equal(response.status, 400);
});

test('a user store that is away answers 503', async (t) => {
  const { url, users } = await runAuth(t, { registration: 'open' });
  await users.close();
  const answer = await post(`${url}/api/v1/users`, JSON_TYPE, ANN);
  assert.deepEqual([answer.status, problemOf(answer).code], [503, 'store.unavailable']);
});

test('accounts are limited by the address of the client behind a trusted gateway', async (t) => {
  const { url } = await runAuth(t, {
    registration: 'open',
    trustedProxies: ['127.0.0.1'],
    limits: {
      windowMs: 60_000,
      failuresPerAccountAndAddress: 10,
      failuresPerAddress: 10,
      registrationsPerAddress: 1,
    },
  });
  const from = async (address: string, email: string): Promise<Awaited<ReturnType<typeof post>>> =>
    post(
      `${url}/api/v1/users`,
      { 'x-forwarded-for': address },
      JSON.stringify({ email, password: 'long enough' }),
    );
  assert.equal((await from('192.0.2.1', 'a@example.com')).status, 201);
  const refused = await from('192.0.2.1', 'b@example.com');
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  assert.equal((await from('192.0.2.2', 'b@example.com')).status, 201);
});
