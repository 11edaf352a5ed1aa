import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { hasCode } from '../../../src/domain/errors.ts';
import { Tokens } from '../../../src/services/auth/tokens.ts';
import { foreignClaims, foreignToken } from '../../support/foreign-token.ts';

const DAY = 86_400_000;

function isInvalid(error: unknown): boolean {
  return hasCode(error, 'auth.invalid-token');
}

for (const secret of ['x', 'sarcasm', 'gehörtes Wort', 'k'.repeat(200)]) {
  test(`tokens are signed and read with the secret ${JSON.stringify(secret.slice(0, 20))}`, async () => {
    const tokens = new Tokens({ secret, ttlMs: DAY });
    const token = await tokens.sign({ email: 'ann@example.com', role: 'admin' });
    const claims = await tokens.verify(token);
    assert.equal(claims.username, 'ann@example.com');
    assert.equal(claims.role, 'admin');
    const foreign = foreignClaims('bob@example.com');
    assert.deepEqual(await tokens.verify(foreignToken(secret, foreign)), foreign);
  });
}

test('another implementation can check our signature', async () => {
  const token = await new Tokens({ secret: 'sarcasm', ttlMs: DAY, now: () => 1_700_000_000_900 }).sign({
    email: 'ann@example.com',
    role: 'user',
  });
  const [header = '', payload = '', signature] = token.split('.');
  assert.equal(createHmac('sha256', 'sarcasm').update(`${header}.${payload}`).digest('base64url'), signature);
  const decode = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
  assert.deepEqual(decode(header), { alg: 'HS256', typ: 'JWT' });
  assert.deepEqual(decode(payload), {
    username: 'ann@example.com',
    admin: true,
    role: 'user',
    iat: 1_700_000_000,
    exp: 1_700_086_400,
  });
});

test('a token is good until its day is over', async () => {
  let now = 1_700_000_000_000;
  const tokens = new Tokens({ secret: 'sarcasm', ttlMs: DAY, now: () => now });
  const token = await tokens.sign({ email: 'ann@example.com', role: 'user' });
  now += DAY - 1000;
  await tokens.verify(token);
  now += 1000;
  await assert.rejects(tokens.verify(token), isInvalid);
});

test('tokens of other implementations may lack role, iat and admin; an absent admin is false', async () => {
  const tokens = new Tokens({ secret: 'sarcasm', ttlMs: DAY });
  const { username, exp } = foreignClaims('bob@example.com');
  const claims = await tokens.verify(foreignToken('sarcasm', { username, exp }));
  assert.deepEqual(claims, { username, exp, iat: 0, admin: false });
  const odd = await tokens.verify(foreignToken('sarcasm', { username, exp, role: 'emperor', sub: '1' }));
  assert.equal(odd.role, undefined);
});

test('claims that no implementation signs are refused', async () => {
  const tokens = new Tokens({ secret: 'sarcasm', ttlMs: DAY });
  const good = foreignClaims('bob@example.com');
  const { exp: _exp, ...endless } = good;
  const { username: _username, ...nameless } = good;
  for (const claims of [
    endless,
    nameless,
    { ...good, username: '' },
    { ...good, username: 7 },
    { ...good, admin: 'true' },
    { ...good, admin: 1 },
    { ...good, exp: 'tomorrow' },
    { ...good, nbf: good.exp },
    [],
  ]) {
    await assert.rejects(tokens.verify(foreignToken('sarcasm', claims)), isInvalid, JSON.stringify(claims));
  }
});

test('only HS256 is read', async () => {
  const tokens = new Tokens({ secret: 'sarcasm', ttlMs: DAY });
  const claims = foreignClaims('bob@example.com');
  for (const alg of ['none', 'None', 'HS384', 'HS512', 'RS256', '']) {
    await assert.rejects(tokens.verify(foreignToken('sarcasm', claims, { alg, typ: 'JWT' })), isInvalid, alg);
  }
});

test('an empty secret is refused before anything is signed with it', () => {
  assert.throws(
    () => new Tokens({ secret: '', ttlMs: DAY }),
    (error: unknown) => hasCode(error, 'config.invalid'),
  );
});
