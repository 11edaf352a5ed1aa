import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryUserStore } from '../../src/adapters/memory/user-store.ts';
import { SqliteUserStore } from '../../src/adapters/sqlite/user-store.ts';
import { CONTEST_SIZE, contend } from '../support/store-contest.ts';
import { tempFolder } from '../support/temp.ts';
import { durableSubject } from './store-subject.ts';
import { userStoreContract } from './user-store.contract.ts';

userStoreContract('sqlite', async (t) => {
  const file = join(await tempFolder(t), 'data', 'users.sqlite');
  return durableSubject(t, () => SqliteUserStore.open(file));
});

userStoreContract('memory', () => Promise.resolve({ store: new MemoryUserStore() }), {
  reopen: 'keeps nothing on purpose: it is for tests of one process',
  second: 'its accounts belong to one instance',
});

test('sqlite: two processes add accounts at the same time; each shared address is won by one of them', async (t) => {
  const file = join(await tempFolder(t), 'users.sqlite');
  const { ours, theirs } = await contend(t, 'users', file);
  const store = SqliteUserStore.open(file);
  t.after(() => store.close());
  const users = await store.list();
  assert.equal(users.length, 3 * CONTEST_SIZE, 'all of both, and the shared ones once');
  assert.equal(ours.length + theirs.length, CONTEST_SIZE);
  for (const [winner, emails] of [
    ['parent', ours],
    ['child', theirs],
  ] as const) {
    for (const email of emails) assert.equal((await store.findByEmail(email))?.password, winner);
  }
});
