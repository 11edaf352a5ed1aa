import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryUserStore } from '../../../src/adapters/memory/user-store.ts';
import { hasCode, type ErrorCode } from '../../../src/domain/errors.ts';
import {
  addUser,
  bootstrapAdmin,
  listUsers,
  removeUser,
  setPassword,
  type AccountsContext,
} from '../../../src/services/auth/accounts.ts';
import { Passwords } from '../../../src/services/auth/passwords.ts';
import { basic, post, runAuth } from '../../support/auth-server.ts';
import { countedArgon2 } from '../../support/counted-argon2.ts';

function accounts(): AccountsContext & { users: MemoryUserStore } {
  return { users: new MemoryUserStore(), passwords: new Passwords({ argon2: countedArgon2() }) };
}

const failsWith = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

test('the bootstrap administrator is made where there is none of that name, and logs in', async (t) => {
  const { url, auth, users } = await runAuth(t);
  assert.equal(await auth.bootstrapAdmin('root@example.com', 'long enough'), true);
  assert.equal((await users.findByEmail('root@example.com'))?.role, 'admin');
  const login = await post(`${url}/login`, { authorization: basic('root@example.com', 'long enough') });
  assert.equal((await auth.validate(login.text)).role, 'admin');
});

test('an account that is there stays as it is, whatever the bootstrap password', async (t) => {
  const { auth, users } = await runAuth(t);
  const before = await users.findByEmail('georgio@email.com');
  assert.equal(await auth.bootstrapAdmin('Georgio@Email.com', 'another one'), false);
  assert.equal(await auth.bootstrapAdmin('georgio@email.com', 'x'), false);
  assert.deepEqual(await users.findByEmail('georgio@email.com'), before);
});

test('two processes that bootstrap at the same time make one account', async () => {
  const context = accounts();
  const made = await Promise.all(
    [1, 2, 3].map(() => bootstrapAdmin(context, 'root@example.com', 'long enough')),
  );
  assert.deepEqual(made.filter(Boolean), [true]);
  assert.equal((await listUsers(context)).length, 1);
});

test('accounts are added, listed without passwords, and removed', async () => {
  const context = accounts();
  await addUser(context, { email: ' zoe@example.com ', password: 'long enough', role: 'user' });
  await addUser(context, { email: 'Ann@example.com', password: 'long enough', role: 'admin' });
  const listed = await listUsers(context);
  assert.deepEqual(
    listed.map(({ email, role }) => [email, role]),
    [
      ['Ann@example.com', 'admin'],
      ['zoe@example.com', 'user'],
    ],
  );
  assert.ok(!JSON.stringify(listed).includes('argon2'));
  await assert.rejects(
    addUser(context, { email: 'ann@EXAMPLE.com', password: 'long enough', role: 'user' }),
    failsWith('user.exists'),
  );
  await removeUser(context, 'ANN@example.com');
  await assert.rejects(removeUser(context, 'ann@example.com'), failsWith('user.unknown'));
  assert.equal((await listUsers(context)).length, 1);
});

test('a new password takes the place of the old one, also where somebody writes in between', async () => {
  const context = accounts();
  await context.users.add({ email: 'ann@example.com', password: 'plain text', role: 'user' });
  const find = context.users.findByEmail.bind(context.users);
  let isFirst = true;
  context.users.findByEmail = async (email) => {
    const user = await find(email);
    if (isFirst) await context.users.replacePassword(email, 'plain text', 'rehashed by a login');
    isFirst = false;
    return user;
  };
  await setPassword(context, 'ann@example.com', 'brand new');
  const stored = (await find('ann@example.com'))?.password;
  assert.equal(await context.passwords.verify('brand new', stored), true);
});

test('a new password must be a good one, for an account that is there', async () => {
  const context = accounts();
  await assert.rejects(setPassword(context, 'nobody@example.com', 'long enough'), failsWith('user.unknown'));
  await assert.rejects(setPassword(context, 'nobody@example.com', 'x'), failsWith('user.weak-password'));
});
