import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basic, post, runAuth, SECRET } from '../../support/auth-server.ts';
import { foreignClaims, foreignToken } from '../../support/foreign-token.ts';

const HTML = 'text/html; charset=utf-8';

test('a good token answers 200 with its claims as JSON', async (t) => {
  const { url } = await runAuth(t);
  const token = await post(`${url}/login`, { authorization: basic('georgio@email.com', 'Admin123') });
  const answer = await post(`${url}/validate`, { authorization: `Bearer ${token.text}` });
  assert.equal(answer.status, 200);
  assert.match(answer.type ?? '', /^application\/json/);
  const claims = JSON.parse(answer.text) as Record<string, unknown>;
  assert.equal(claims.username, 'georgio@email.com');
  assert.equal(claims.admin, true);
  assert.equal(claims.role, 'user');
  assert.equal(Number(claims.exp) - Number(claims.iat), 86_400);
});

test('a token of another implementation answers with exactly its four claims', async (t) => {
  const { url } = await runAuth(t);
  const claims = foreignClaims('bob@example.com');
  const answer = await post(`${url}/validate`, { authorization: `Bearer ${foreignToken(SECRET, claims)}` });
  assert.deepEqual(JSON.parse(answer.text), claims);
});

for (const [what, authorization] of [
  ['no Authorization header', undefined],
  ['an empty Authorization header', ''],
  ['an Authorization header of one word', 'Bearer'],
  ['a bare token without a scheme', 'eyJhbGciOiJIUzI1NiJ9.e30.x'],
] as const) {
  test(`${what} answers 401 missing credentials`, async (t) => {
    const { url } = await runAuth(t);
    const answer = await post(`${url}/validate`, authorization === undefined ? {} : { authorization });
    assert.deepEqual([answer.status, answer.type, answer.text], [401, HTML, 'missing credentials']);
  });
}

const good = foreignClaims('bob@example.com');
for (const [what, token] of [
  ['rubbish', 'rubbish'],
  ['signed with another secret', foreignToken('irony', good)],
  ['expired', foreignToken(SECRET, { ...good, exp: good.iat - 1 })],
  ['unsigned', `${foreignToken(SECRET, good, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`],
  ['without a user', foreignToken(SECRET, { exp: good.exp, admin: true })],
] as const) {
  test(`a token that is ${what} answers 403 not authorized`, async (t) => {
    const { url } = await runAuth(t);
    const answer = await post(`${url}/validate`, { authorization: `Bearer ${token}` });
    assert.deepEqual([answer.status, answer.type, answer.text], [403, HTML, 'not authorized']);
  });
}
