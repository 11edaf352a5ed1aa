import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import type { RowDataPacket } from 'mysql2/promise';
import { MySqlUserStore } from '../../../src/adapters/mysql/user-store.ts';
import { AuthService } from '../../../src/services/auth/auth-service.ts';
import { startLossyProxy } from '../../support/lossy-proxy.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { startMariaDb, type MariaDb } from '../../support/servers/mariadb.ts';

// What other implementations leave in the table, and do to it while we run.

let mariadb: MariaDb;
before(async () => {
  mariadb = await startMariaDb();
});
after(() => mariadb.stop());

function table(emailType = 'VARCHAR(255)', passwordType = 'VARCHAR(255)'): string {
  return `CREATE TABLE user (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email ${emailType} NOT NULL UNIQUE, password ${passwordType} NOT NULL);`;
}

const GEORGIO = "INSERT INTO user (email, password) VALUES ('georgio@email.com', 'Admin123');";

interface Opened {
  readonly store: MySqlUserStore;
  readonly log: ReturnType<typeof recordedLog>;
  /** Runs SQL as the family's service does: its own connection, its own account. */
  readonly sql: (statement: string) => Promise<RowDataPacket[]>;
}

async function openOn(t: TestContext, setup: string): Promise<Opened> {
  const url = await mariadb.database(setup);
  const log = recordedLog();
  const store = MySqlUserStore.open(url, { log });
  const connection = await mariadb.connect({ database: new URL(url).pathname.slice(1) });
  t.after(async () => {
    await store.close();
    await connection.end();
  });
  const sql = async (statement: string): Promise<RowDataPacket[]> =>
    (await connection.query<RowDataPacket[]>(statement))[0];
  return { store, log, sql };
}

test("a plain-text row of the family's init.sql logs in once with the rights of init.sql, and is rehashed", async (t) => {
  const url = new URL(await mariadb.database(table() + GEORGIO));
  const database = url.pathname.slice(1);
  const root = await mariadb.connect();
  t.after(() => root.end());
  await root.query("CREATE USER 'family'@'%' IDENTIFIED BY 'p@ss/w%rd:#'");
  await root.query(`GRANT ALL PRIVILEGES ON ${database}.* TO 'family'@'%'`);
  url.username = 'family';
  url.password = encodeURIComponent('p@ss/w%rd:#');
  const users = MySqlUserStore.open(url.href, { log: recordedLog() });
  const auth = new AuthService({
    users,
    secret: 'sarcasm',
    registration: 'open',
    rehash: true,
    tokenTtlMs: 60_000,
    log: recordedLog(),
  });
  t.after(async () => {
    await auth.close();
    await users.close();
  });
  const georgio = { email: 'Georgio@email.com', password: 'Admin123', clientAddress: '192.0.2.1' };
  const claims = await auth.validate(await auth.login(georgio));
  assert.deepEqual([claims.username, claims.role], ['georgio@email.com', 'user']);
  const [rows] = await root.query<RowDataPacket[]>(
    `SELECT email, password FROM ${database}.user WHERE email='georgio@email.com'`,
  );
  assert.equal(rows.length, 1);
  assert.match(String(rows[0]?.password), /^\$argon2id\$/);
  assert.ok(await auth.login(georgio));
  const ann = await auth.register({ ...georgio, email: 'ann@email.com' });
  assert.ok(ann.createdAt > 0);
});

test("rows that the family's SQL inserts, changes and removes while we run are seen so", async (t) => {
  const { store, sql } = await openOn(t, table() + GEORGIO);
  const georgio = await store.findByEmail('georgio@email.com');
  assert.deepEqual([georgio?.password, georgio?.role, georgio?.createdAt], ['Admin123', 'user', 0]);
  await sql("INSERT INTO user (email, password) VALUES ('New@Email.com', 'plain')");
  assert.equal((await store.findByEmail('new@email.com'))?.password, 'plain');
  await sql("UPDATE user SET email = 'Newer@email.com' WHERE email = 'New@Email.com'");
  assert.equal(await store.findByEmail('new@email.com'), undefined);
  assert.equal((await store.findByEmail('newer@EMAIL.com'))?.email, 'Newer@email.com');
  await assert.rejects(store.add({ email: 'NEWER@email.com', password: 'x', role: 'user' }), {
    code: 'user.exists',
  });
  await sql("DELETE FROM user WHERE email = 'Newer@email.com'");
  assert.deepEqual(await store.list(), [georgio]);
});

test('the family reads what we add, by its own queries', async (t) => {
  const { store, sql } = await openOn(t, '');
  await store.add({ email: 'ann@email.com', password: '$argon2id$x', role: 'admin' });
  assert.deepEqual(
    (await sql("SELECT email, password FROM user WHERE email='ann@email.com'")).map((row) => ({ ...row })),
    [{ email: 'ann@email.com', password: '$argon2id$x' }],
  );
});

test('rows that differ in letter case only do not keep us from starting: the oldest is the account', async (t) => {
  const { store, log, sql } = await openOn(
    t,
    `${table('VARCHAR(255) COLLATE utf8mb4_bin')}
     INSERT INTO user (email, password) VALUES
       ('Ann@email.com', 'first'), ('bob@email.com', 'x'), ('ann@email.com', 'second'), ('ANN@email.com', 'third');`,
  );
  for (const spelling of ['Ann@email.com', 'ann@email.com', 'ANN@email.com']) {
    assert.equal((await store.findByEmail(spelling))?.password, 'first');
  }
  assert.deepEqual(
    (await store.list()).map((user) => user.email),
    ['Ann@email.com', 'bob@email.com'],
  );
  const warnings = log.entries.filter((entry) => entry.level === 'warn');
  assert.deepEqual(
    warnings.map((entry) => entry.fields),
    [
      { row: 3, account: 1 },
      { row: 4, account: 1 },
    ],
  );
  assert.equal((await sql('SELECT id FROM user')).length, 4, 'no row is lost');
  assert.equal(await store.remove('ann@EMAIL.com'), true);
  assert.equal(await store.findByEmail('ann@email.com'), undefined, 'none of them comes back as the account');
  assert.equal(
    (await store.add({ email: 'ann@email.com', password: 'new', role: 'user' })).email,
    'ann@email.com',
  );
});

test('a table in latin1 finds letters beyond ASCII in either case', async (t) => {
  const { store } = await openOn(
    t,
    `${table('VARCHAR(255) CHARACTER SET latin1', 'VARCHAR(255) CHARACTER SET latin1')}
     INSERT INTO user (email, password) VALUES ('JÖRG@email.com', 'geheim ß');`,
  );
  assert.equal((await store.findByEmail('jörg@email.com'))?.email, 'JÖRG@email.com');
  assert.equal(await store.replacePassword('jörg@email.com', 'geheim ss', 'new'), false);
  assert.equal(await store.replacePassword('jörg@email.com', 'geheim ß', 'new'), true);
});

test('a password column that is too narrow for a hash is widened', async (t) => {
  const { store } = await openOn(t, table('VARCHAR(255)', 'VARCHAR(20)') + GEORGIO);
  const hash = `$argon2id$${'x'.repeat(90)}`;
  assert.equal(await store.replacePassword('georgio@email.com', 'Admin123', hash), true);
  assert.equal((await store.findByEmail('georgio@email.com'))?.password, hash);
});

test('columns of the same meaning that a descendant of the family made stay what they are', async (t) => {
  const { store, sql } = await openOn(
    t,
    `CREATE TABLE user (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(255) NOT NULL UNIQUE,
      password VARCHAR(255) NOT NULL, role ENUM('root') NOT NULL DEFAULT 'root', created_at TIMESTAMP DEFAULT NOW());
     ${GEORGIO}`,
  );
  await store.add({ email: 'ann@email.com', password: 'x', role: 'admin' });
  assert.deepEqual(
    (await store.list()).map(({ email, role }) => [email, role]),
    [
      ['ann@email.com', 'admin'],
      ['georgio@email.com', 'user'],
    ],
  );
  assert.equal((await sql("SELECT * FROM user WHERE role = 'root'")).length, 2);
});

test('a migration that broke off in the middle is finished by the next start', async (t) => {
  const { store } = await openOn(
    t,
    `${table()} ${GEORGIO} ALTER TABLE user ADD COLUMN audiowave_created_at BIGINT NOT NULL DEFAULT 0;`,
  );
  assert.equal((await store.findByEmail('georgio@email.com'))?.role, 'user');
});

async function openLossy(t: TestContext): Promise<{
  store: MySqlUserStore;
  proxy: Awaited<ReturnType<typeof startLossyProxy>>;
}> {
  const url = new URL(await mariadb.database());
  const proxy = await startLossyProxy(t, mariadb.port);
  url.port = String(proxy.port);
  const store = MySqlUserStore.open(url.href, { log: recordedLog() });
  t.after(() => store.close());
  await store.check();
  return { store, proxy };
}

test('add() whose answer was lost gives its own row, and says user.exists only of the rows of others', async (t) => {
  const { store, proxy } = await openLossy(t);
  proxy.loseAnswer();
  const ann = await store.add({ email: 'ann@email.com', password: 'x', role: 'admin' });
  assert.equal(proxy.lost(), 1);
  assert.deepEqual(await store.list(), [ann]);
  proxy.loseAnswer();
  await assert.rejects(store.add({ email: 'Ann@email.com', password: 'x', role: 'admin' }), {
    code: 'user.exists',
  });
  assert.equal(proxy.lost(), 2);
});

test('replacePassword() and remove() whose answers were lost say what they did', async (t) => {
  const { store, proxy } = await openLossy(t);
  await store.add({ email: 'ann@email.com', password: 'old', role: 'user' });
  proxy.loseAnswer();
  assert.equal(await store.replacePassword('ann@email.com', 'old', 'new'), true);
  proxy.loseAnswer();
  assert.equal(await store.replacePassword('ann@email.com', 'old', 'newer'), false);
  // The first statement looks for the row, the second removes it.
  proxy.loseAnswer(1);
  assert.equal(await store.remove('ann@email.com'), true);
  proxy.loseAnswer();
  assert.equal(await store.remove('ann@email.com'), false);
  assert.equal(proxy.lost(), 4);
});
