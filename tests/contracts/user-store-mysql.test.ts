import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { MySqlUserStore } from '../../src/adapters/mysql/user-store.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMariaDb, type MariaDb } from '../support/servers/mariadb.ts';
import { CONTEST_SIZE, contend } from '../support/store-contest.ts';
import { freshDatabase } from '../support/servers/mysql-by-url.ts';
import { durableSubject } from './store-subject.ts';
import { userStoreContract } from './user-store.contract.ts';

let mariadb: MariaDb;
before(async () => {
  mariadb = await startMariaDb();
});
after(() => mariadb.stop());

const open = (url: string): MySqlUserStore => MySqlUserStore.open(url, { log: recordedLog() });

userStoreContract('mariadb', async (t) => {
  const url = await mariadb.database();
  return durableSubject(t, () => open(url));
});

const FAMILY_TABLE =
  'CREATE TABLE user (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(255) NOT NULL UNIQUE, password VARCHAR(255) NOT NULL);';

// As MySQL 8 would make it by init.sql, with a collation that takes no notice of letter case.
userStoreContract("mariadb, the family's table", async (t) => {
  const url = await mariadb.database(
    FAMILY_TABLE.replace(';', ' CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;'),
  );
  return durableSubject(t, () => open(url));
});

// A real MySQL, where somebody has one.
const givenUrl = process.env.TEST_MYSQL_URL;
if (givenUrl !== undefined) {
  userStoreContract('TEST_MYSQL_URL', async (t) => {
    const url = await freshDatabase(t, givenUrl);
    return durableSubject(t, () => open(url));
  });
}

async function contest(t: TestContext, url: string): Promise<void> {
  const { ours, theirs } = await contend(t, 'users', url);
  const store = open(url);
  t.after(() => store.close());
  assert.equal((await store.list()).length, 3 * CONTEST_SIZE, 'all of both, and the shared ones once');
  assert.equal(ours.length + theirs.length, CONTEST_SIZE);
  for (const [winner, emails] of [
    ['parent', ours],
    ['child', theirs],
  ] as const) {
    for (const email of emails) assert.equal((await store.findByEmail(email))?.password, winner);
  }
}

test('mariadb: two processes make the table and add accounts at the same time', async (t) => {
  await contest(t, await mariadb.database());
});

test("mariadb: two processes fit the family's table and add accounts at the same time", async (t) => {
  await contest(t, await mariadb.database(FAMILY_TABLE));
});
