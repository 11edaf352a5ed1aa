import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { bearer, openGateway, type Fixture } from './gateway-fixture.ts';

import { expectText } from './answers.ts';

function basic(pair: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function login(gateway: Fixture, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/login`, { method: 'POST', headers });
}

void test('login with good credentials answers the bare token', async (t) => {
  const gateway = await openGateway(t);
  await expectText(await login(gateway, basic('ann@example.com:secret')), 200, 'ann');
});

void test('login answers JSON to a client that asks for it, and to everybody with LOGIN_RESPONSE=json', async (t) => {
  const gateway = await openGateway(t);
  const asked = await login(gateway, { ...basic('ann@example.com:secret'), accept: 'application/json' });
  assert.equal(await asked.text(), '{"token":"ann"}');
  assert.match(asked.headers.get('content-type') ?? '', /^application\/json/);
  const always = await openGateway(t, { loginResponse: 'json' });
  assert.deepEqual(await (await login(always, basic('ann@example.com:secret'))).json(), { token: 'ann' });
});

void test('login without Basic credentials is 401 missing credentials', async (t) => {
  const gateway = await openGateway(t);
  await expectText(await login(gateway), 401, 'missing credentials');
  await expectText(await login(gateway, bearer('ann')), 401, 'missing credentials');
});

void test('login with an unknown address or a wrong password is 401 invalid credentials', async (t) => {
  const gateway = await openGateway(t);
  await expectText(await login(gateway, basic('ann@example.com:wrong')), 401, 'invalid credentials');
  await expectText(await login(gateway, basic('nobody@example.com:secret')), 401, 'invalid credentials');
});

void test('login takes no notice of a body, whatever its type', async (t) => {
  const gateway = await openGateway(t);
  for (const type of ['application/x-www-form-urlencoded', 'application/json', 'nonsense', 'a/b;;=']) {
    const headers = { ...basic('ann@example.com:secret'), 'content-type': type };
    const answer = await fetch(`${gateway.url}/login`, { method: 'POST', headers, body: 'x=1' });
    await expectText(answer, 200, 'ann');
  }
});

void test('too many logins are 429 too many requests, with Retry-After', async (t) => {
  const gateway = await openGateway(t);
  gateway.auth.failWith = new AudiowaveError('auth.too-many-attempts', undefined, {
    retryAfterSeconds: 17.2,
  });
  const answer = await login(gateway, basic('ann@example.com:secret'));
  assert.equal(answer.headers.get('retry-after'), '18');
  await expectText(answer, 429, 'too many requests');
});

void test("the client's address is taken from forwarded headers only behind a trusted proxy", async (t) => {
  const forwarded = { ...basic('ann@example.com:secret'), 'x-forwarded-for': '203.0.113.9' };
  const open = await openGateway(t);
  await login(open, forwarded);
  assert.equal(open.auth.logins[0]?.clientAddress, '127.0.0.1');
  const behind = await openGateway(t, { trustedProxies: ['127.0.0.1/32'] });
  await login(behind, forwarded);
  assert.equal(behind.auth.logins[0]?.clientAddress, '203.0.113.9');
});
