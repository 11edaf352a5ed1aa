import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LOGIN_LIMITS } from '../../../src/services/auth/login-limits.ts';
import { isPlainText, Passwords } from '../../../src/services/auth/passwords.ts';
import { basic, post, runAuth } from '../../support/auth-server.ts';
import { countedArgon2 } from '../../support/counted-argon2.ts';

const GOOD = { authorization: basic('georgio@email.com', 'Admin123') };
const HTML = 'text/html; charset=utf-8';
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

test('a good login answers 200 with the bare token', async (t) => {
  const { url, auth } = await runAuth(t);
  const answer = await post(`${url}/login`, GOOD);
  assert.equal(answer.status, 200);
  assert.equal(answer.type, HTML);
  assert.match(answer.text, JWT);
  assert.equal((await auth.validate(answer.text)).username, 'georgio@email.com');
});

test('a login that asks for JSON gets {"token": …}', async (t) => {
  const { url } = await runAuth(t);
  const answer = await post(`${url}/login`, { ...GOOD, accept: 'application/json' });
  assert.match(answer.type ?? '', /^application\/json/);
  const body = JSON.parse(answer.text) as Record<string, string>;
  assert.deepEqual(Object.keys(body), ['token']);
  assert.match(body.token ?? '', JWT);
});

test('a client that takes anything gets the bare token', async (t) => {
  const { url } = await runAuth(t);
  const answer = await post(`${url}/login`, { ...GOOD, accept: 'application/json, text/plain, */*' });
  assert.match(answer.text, JWT);
});

test('LOGIN_RESPONSE=json answers JSON to everybody', async (t) => {
  const { url } = await runAuth(t, { loginResponse: 'json' });
  const answer = await post(`${url}/login`, { ...GOOD, accept: '*/*' });
  assert.deepEqual(Object.keys(JSON.parse(answer.text) as object), ['token']);
});

for (const [what, authorization] of [
  ['no Authorization header', undefined],
  ['an empty Authorization header', ''],
  ['a bearer token', 'Bearer abc'],
  ['the word Basic alone', 'Basic'],
  ['a pair without a colon', `Basic ${Buffer.from('georgio').toString('base64')}`],
  ['rubbish', 'Basic %%%'],
] as const) {
  test(`a login with ${what} answers 401 missing credentials`, async (t) => {
    const { url } = await runAuth(t);
    const answer = await post(`${url}/login`, authorization === undefined ? {} : { authorization });
    assert.deepEqual([answer.status, answer.type, answer.text], [401, HTML, 'missing credentials']);
  });
}

for (const [what, email, password] of [
  ['an unknown e-mail', 'nobody@email.com', 'Admin123'],
  ['a wrong password', 'georgio@email.com', 'admin123'],
  ['an empty password', 'georgio@email.com', ''],
  ['an empty e-mail', '', 'Admin123'],
  ['an injection', "' OR 1=1 -- ", "' OR 1=1 -- "],
] as const) {
  test(`a login with ${what} answers 401 invalid credentials`, async (t) => {
    const { url } = await runAuth(t);
    const answer = await post(`${url}/login`, { authorization: basic(email, password) });
    assert.deepEqual([answer.status, answer.type, answer.text], [401, HTML, 'invalid credentials']);
  });
}

test('an e-mail address logs in in any letter case, and a password may hold colons and any script', async (t) => {
  const { url, users } = await runAuth(t);
  await users.add({ email: 'Zoë@example.com', password: 'a:b:ключ', role: 'user' });
  const answer = await post(`${url}/login`, { authorization: basic('zoë@EXAMPLE.com', 'a:b:ключ') });
  assert.equal(answer.status, 200);
});

test('the first good login of a plain-text row hashes it, and the next one is good too', async (t) => {
  const { url, users } = await runAuth(t);
  await post(`${url}/login`, { authorization: basic('georgio@email.com', 'wrong') });
  assert.equal((await users.findByEmail('georgio@email.com'))?.password, 'Admin123');
  assert.equal((await post(`${url}/login`, GOOD)).status, 200);
  const stored = (await users.findByEmail('georgio@email.com'))?.password ?? '';
  assert.match(stored, /^\$argon2id\$/);
  assert.equal((await post(`${url}/login`, GOOD)).status, 200);
  assert.equal((await users.findByEmail('georgio@email.com'))?.password, stored);
});

test('two first logins at the same time are both good and leave one good hash', async (t) => {
  const { url, users } = await runAuth(t);
  const answers = await Promise.all([1, 2, 3, 4].map(() => post(`${url}/login`, GOOD)));
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [200, 200, 200, 200],
  );
  assert.equal(isPlainText((await users.findByEmail('georgio@email.com'))?.password ?? ''), false);
  assert.equal((await post(`${url}/login`, GOOD)).status, 200);
});

test('REHASH=off leaves plain-text rows readable for the original', async (t) => {
  const { url, users } = await runAuth(t, { rehash: false });
  assert.equal((await post(`${url}/login`, GOOD)).status, 200);
  assert.equal((await users.findByEmail('georgio@email.com'))?.password, 'Admin123');
});

test('a login is good though its row cannot be rehashed', async (t) => {
  const { url, users, log } = await runAuth(t);
  users.replacePassword = () => Promise.reject(new Error('read-only'));
  assert.equal((await post(`${url}/login`, GOOD)).status, 200);
  assert.ok(log.entries.some((entry) => entry.level === 'warn'));
});

test('too many failed logins answer 429 with Retry-After, for that account only', async (t) => {
  const { url, users } = await runAuth(t, {
    limits: { ...DEFAULT_LOGIN_LIMITS, failuresPerAccountAndAddress: 2 },
  });
  await users.add({ email: 'ann@email.com', password: 'Admin123', role: 'user' });
  const wrong = { authorization: basic('GEORGIO@email.com', 'wrong') };
  for (let i = 0; i < 2; i++) assert.equal((await post(`${url}/login`, wrong)).status, 401);
  const answer = await post(`${url}/login`, GOOD);
  assert.deepEqual([answer.status, answer.type, answer.text], [429, HTML, 'too many requests']);
  const seconds = Number(answer.headers.get('retry-after'));
  assert.ok(seconds > 800 && seconds <= 900, String(seconds));
  const other = await post(`${url}/login`, { authorization: basic('ann@email.com', 'Admin123') });
  assert.equal(other.status, 200);
});

test('an address that tries one account after the other is refused as a whole', async (t) => {
  const { url } = await runAuth(t, { limits: { ...DEFAULT_LOGIN_LIMITS, failuresPerAddress: 3 } });
  for (let i = 0; i < 3; i++) {
    const authorization = basic(`user${String(i)}@email.com`, 'x');
    assert.equal((await post(`${url}/login`, { authorization })).status, 401);
  }
  assert.equal((await post(`${url}/login`, GOOD)).status, 429);
});

test('guesses side by side do not get past the limit', async (t) => {
  const { url } = await runAuth(t, {
    limits: { ...DEFAULT_LOGIN_LIMITS, failuresPerAccountAndAddress: 3 },
  });
  const wrong = { authorization: basic('georgio@email.com', 'wrong') };
  const answers = await Promise.all(Array.from({ length: 30 }, () => post(`${url}/login`, wrong)));
  const looked = answers.filter((answer) => answer.status === 401).length;
  // Two hashes run at a time, so at most one guess more than allowed is looked at.
  assert.ok(looked >= 3 && looked <= 4, `${String(looked)} guesses were looked at`);
});

test('forwarded addresses count only behind a trusted proxy', async (t) => {
  const limits = { ...DEFAULT_LOGIN_LIMITS, failuresPerAddress: 1 };
  const from = (address: string, password: string): Record<string, string> => ({
    authorization: basic('georgio@email.com', password),
    'x-forwarded-for': address,
  });
  const trusting = await runAuth(t, { limits, trustedProxies: ['127.0.0.0/8'] });
  assert.equal((await post(`${trusting.url}/login`, from('198.51.100.1', 'wrong'))).status, 401);
  assert.equal((await post(`${trusting.url}/login`, from('198.51.100.1', 'Admin123'))).status, 429);
  assert.equal((await post(`${trusting.url}/login`, from('198.51.100.2', 'Admin123'))).status, 200);
  // One IPv6 customer has a whole /64.
  assert.equal((await post(`${trusting.url}/login`, from('2001:db8:1:2::1', 'wrong'))).status, 401);
  assert.equal((await post(`${trusting.url}/login`, from('2001:db8:1:2:ffff::9', 'Admin123'))).status, 429);
  assert.equal((await post(`${trusting.url}/login`, from('2001:db8:1:3::1', 'Admin123'))).status, 200);

  const direct = await runAuth(t, { limits });
  assert.equal((await post(`${direct.url}/login`, from('198.51.100.1', 'wrong'))).status, 401);
  assert.equal((await post(`${direct.url}/login`, from('198.51.100.2', 'Admin123'))).status, 429);
});

test('more logins than can be checked answer 503 with Retry-After', async (t) => {
  const passwords = new Passwords({ argon2: countedArgon2(), concurrency: 1, maxWaiting: 1 });
  const { url } = await runAuth(t, { passwords });
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(`${url}/login`, GOOD)));
  const busy = answers.filter((answer) => answer.status === 503);
  assert.ok(busy.length > 0 && busy.length < 20, `${String(busy.length)} of 20 were turned away`);
  assert.ok(Number(busy[0]?.headers.get('retry-after')) > 0);
  assert.equal(answers.length - busy.length, answers.filter((answer) => answer.status === 200).length);
});

test('a store that does not answer gives 500 internal server error', async (t) => {
  const { url, users } = await runAuth(t);
  await users.close();
  const answer = await post(`${url}/login`, GOOD);
  assert.deepEqual([answer.status, answer.type, answer.text], [500, HTML, 'internal server error']);
});

test('neither password nor token is ever logged', async (t) => {
  const { url, log } = await runAuth(t);
  const token = (await post(`${url}/login`, GOOD)).text;
  await post(`${url}/login`, { authorization: basic('georgio@email.com', 'hunter2-guess') });
  await post(`${url}/login`, { authorization: basic('my-password-typed-here', 'x') });
  await post(`${url}/validate`, { authorization: `Bearer ${token}` });
  await post(`${url}/validate?token=${token}`, {});
  const text = JSON.stringify(log.entries);
  assert.ok(log.entries.length >= 5);
  for (const secret of ['Admin123', 'hunter2', 'typed-here', token, GOOD.authorization]) {
    assert.ok(!text.includes(secret), secret);
  }
});
