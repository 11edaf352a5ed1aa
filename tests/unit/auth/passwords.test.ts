import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, verify } from '@node-rs/argon2';
import { hasCode } from '../../../src/domain/errors.ts';
import { DUMMY_HASH, isPlainText, Passwords } from '../../../src/services/auth/passwords.ts';
import { countedArgon2 } from '../../support/counted-argon2.ts';

test('a password is hashed with argon2id and verified', async () => {
  const passwords = new Passwords();
  const phc = await passwords.hash('pässwörd 🎵');
  assert.match(phc, /^\$argon2id\$v=19\$/);
  assert.equal(await passwords.verify('pässwörd 🎵', phc), true);
  assert.equal(await passwords.verify('passwörd 🎵', phc), false);
  assert.notEqual(await passwords.hash('pässwörd 🎵'), phc, 'each hash has a salt of its own');
});

test('the hash of nobody costs what a real one costs', async () => {
  assert.deepEqual(parseOptions(DUMMY_HASH), parseOptions(await new Passwords().hash('x')));
  assert.equal(await verify(DUMMY_HASH, ''), false);
});

test('every verification verifies exactly one hash, whatever the row is', async () => {
  const argon2 = countedArgon2();
  const passwords = new Passwords({ argon2 });
  const phc = await passwords.hash('secret');
  for (const [stored, password, expected] of [
    [phc, 'secret', true],
    [phc, 'wrong', false],
    ['secret', 'secret', true],
    ['secret', 'wrong', false],
    [undefined, 'secret', false],
    ['', '', false],
  ] as const) {
    const before = argon2.counts.verified;
    assert.equal(await passwords.verify(password, stored), expected, `${String(stored)} ${password}`);
    assert.equal(argon2.counts.verified - before, 1, String(stored));
  }
});

test('a stored hash is never a password, neither whole nor damaged nor of another make', async () => {
  const passwords = new Passwords();
  const phc = await passwords.hash('secret');
  for (const stored of [
    phc,
    phc.slice(0, 60),
    '$argon2id$',
    '$2b$12$KIXQmS0qWQZ1n5gTqj1uEuYy9yq6yY5cGz8w7V0D3bq6d1m1E1O1e',
    'pbkdf2:sha256:600000$abcdefgh$' + '0f'.repeat(32),
    'scrypt:32768:8:1$abcdefgh$' + '0f'.repeat(64),
  ]) {
    assert.equal(await passwords.verify(stored, stored), false, stored);
    assert.equal(isPlainText(stored), false, stored);
  }
});

test('passwords that only look a little like hashes are plain text', async () => {
  const passwords = new Passwords();
  for (const stored of ['Admin123', '$ecret', '$2b$', 'scrypt:me', 'a$b$c', ' x ']) {
    assert.equal(isPlainText(stored), true, stored);
    assert.equal(await passwords.verify(stored, stored), true, stored);
  }
});

test('at most two hashes run at a time', async () => {
  const argon2 = countedArgon2();
  const passwords = new Passwords({ argon2 });
  // Each that ends is followed by a new one, while others still wait for the place.
  const twice = async (): Promise<void> => {
    await passwords.verify('x', undefined);
    await passwords.verify('x', undefined);
  };
  await Promise.all(Array.from({ length: 6 }, twice));
  assert.equal(argon2.counts.verified, 12);
  assert.equal(argon2.counts.mostRunning, 2);
});

test('above the queue a call is turned away at once, to be tried again', async () => {
  const argon2 = countedArgon2();
  const passwords = new Passwords({ argon2, concurrency: 1, maxWaiting: 2 });
  const taken = [1, 2, 3].map(() => passwords.hash('x'));
  await assert.rejects(passwords.hash('x'), (error: unknown) => {
    assert.ok(hasCode(error, 'auth.busy'));
    assert.equal(error.retryable, true);
    assert.ok((error.retryAfterSeconds ?? 0) > 0);
    return true;
  });
  await Promise.all(taken);
  assert.match(await passwords.hash('x'), /^\$argon2id/, 'and taken again when there is room');
  assert.equal(argon2.counts.hashed, 4);
});

test('who gives up while waiting leaves the line', async () => {
  const argon2 = countedArgon2();
  const passwords = new Passwords({ argon2, concurrency: 1, maxWaiting: 1 });
  const first = passwords.hash('x');
  const controller = new AbortController();
  const second = passwords.hash('x', controller.signal);
  controller.abort(new Error('hung up'));
  await assert.rejects(second, /hung up/);
  await Promise.all([first, passwords.hash('x')]);
  assert.equal(argon2.counts.hashed, 2);
});

test('a hash that fails gives its place back', async () => {
  const argon2 = countedArgon2();
  const passwords = new Passwords({ argon2, concurrency: 1, maxWaiting: 5 });
  const refuse = (): Promise<void> => Promise.reject(new Error('refused'));
  const refused = [1, 2].map(() => passwords.verify('x', undefined, { beforeHash: refuse }));
  for (const call of refused) await assert.rejects(call, /refused/);
  assert.equal(argon2.counts.verified, 0);
  assert.equal(await passwords.verify('x', 'x'), true);
});
