import assert from 'node:assert/strict';
import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { MIGRATIONS, SQL } from '../../src/adapters/sqlite/conversion-schema.ts';
import { SqliteConversionStore } from '../../src/adapters/sqlite/conversion-store.ts';
import { openDatabase } from '../../src/adapters/sqlite/database.ts';
import { answer } from '../../src/adapters/sqlite/store-errors.ts';
import { SqliteUserStore } from '../../src/adapters/sqlite/user-store.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import { mintFileId } from '../../src/domain/ids.ts';
import { newConversion, type Conversion } from '../../src/domain/conversion.ts';
import { tempFolder } from '../support/temp.ts';

const ANN = { email: 'ann@example.com', password: 'secret', role: 'user' } as const;

test('every look-up and sweep of conversions goes through an index and sorts nothing', async (t) => {
  const database = openDatabase(join(await tempFolder(t), 'conversions.sqlite'), MIGRATIONS);
  t.after(() => {
    database.close();
  });
  const { check: _check, insert: _insert, insertLink: _insertLink, ...queries } = SQL;
  for (const [name, sql] of Object.entries(queries)) {
    const values = Array.from(sql.matchAll(/\?/g), () => 1);
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values);
    const steps = plan.map((step) => String(step.detail));
    assert.ok(steps.length > 0, name);
    for (const step of steps) assert.match(step, /^SEARCH .* USING /, name);
  }
});

test('a file that is no database is store.unavailable, with the words of SQLite for the log only', async (t) => {
  const file = join(await tempFolder(t), 'users.sqlite');
  await writeFile(file, 'this is no database, whatever its name says. '.repeat(100));
  assert.throws(
    () => SqliteUserStore.open(file),
    (error) => {
      assert.ok(error instanceof AudiowaveError);
      assert.equal(error.code, 'store.unavailable');
      assert.match(error.detail ?? '', /SQLite 26 .*file is not a database/);
      assert.ok(!error.message.includes(file) && !error.message.includes('SQLite'));
      return true;
    },
  );
});

test('a data folder that cannot be made is store.unavailable', async (t) => {
  const file = join(await tempFolder(t), 'taken');
  await writeFile(file, '');
  assert.throws(() => SqliteConversionStore.open(join(file, 'conversions.sqlite')), {
    code: 'store.unavailable',
  });
});

test('a database that a newer version wrote is refused with a sentence', async (t) => {
  const file = join(await tempFolder(t), 'users.sqlite');
  const newer = new DatabaseSync(file);
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  assert.throws(() => SqliteUserStore.open(file), { code: 'store.unavailable', message: /newer Audiowave/ });
});

test('a new database can be read by its owner only', async (t) => {
  const file = join(await tempFolder(t), 'users.sqlite');
  const store = SqliteUserStore.open(file);
  t.after(() => store.close());
  await store.add(ANN);
  for (const path of [file, `${file}-wal`, `${file}-shm`]) {
    assert.equal((await stat(path)).mode & 0o777, 0o600, path);
  }
});

test('the mode that an operator gave a database stays', async (t) => {
  const file = join(await tempFolder(t), 'users.sqlite');
  await SqliteUserStore.open(file).close();
  await chmod(file, 0o660);
  await SqliteUserStore.open(file).close();
  assert.equal((await stat(file)).mode & 0o777, 0o660);
});

test('a full disk is store.full', async (t) => {
  const database = openDatabase(join(await tempFolder(t), 'full.sqlite'), ['CREATE TABLE t (x)']);
  t.after(() => {
    database.close();
  });
  database.exec('PRAGMA max_page_count = 4');
  const insert = database.prepare('INSERT INTO t VALUES (zeroblob(100000))');
  await assert.rejects(
    answer(() => insert.run()),
    { code: 'store.full', detail: 'SQLite 13 (database or disk is full): database or disk is full' },
  );
});

test('a database that another process locks for too long is store.unavailable', async (t) => {
  const file = join(await tempFolder(t), 'locked.sqlite');
  const holder = openDatabase(file, ['CREATE TABLE t (x)']);
  const waiter = new DatabaseSync(file, { timeout: 1 });
  t.after(() => {
    waiter.close();
    holder.close();
  });
  holder.exec('BEGIN IMMEDIATE');
  await assert.rejects(
    answer(() => {
      waiter.exec('INSERT INTO t VALUES (1)');
    }),
    { code: 'store.unavailable', detail: 'SQLite 5 (database is locked): database is locked' },
  );
});

test('a mistake of ours is not taken for an error of the store', async () => {
  const mistake = new TypeError('a mistake');
  await assert.rejects(
    answer(() => {
      throw mistake;
    }),
    mistake,
  );
});

test('a record that cannot be read is store.unavailable, and the others are still served', async (t) => {
  const file = join(await tempFolder(t), 'conversions.sqlite');
  const store = SqliteConversionStore.open(file);
  t.after(() => store.close());
  const [good, bad] = [mintFileId(), mintFileId()].map((id) =>
    newConversion({
      id,
      owner: ANN.email,
      state: 'queued',
      name: null,
      source: { kind: 'upload' },
      lease: null,
      now: 1,
    }),
  );
  assert.ok(good && bad);
  await store.create(good);
  await store.create(bad);
  const other = openDatabase(file, MIGRATIONS);
  other.prepare('UPDATE conversion SET document = ? WHERE id = ?').run('{"id":', bad.id);
  other.close();
  await assert.rejects(store.find(bad.id), { code: 'store.unavailable' });
  assert.deepEqual(await store.find(good.id), good);
});

test('records of an older version are found by what they wait for', async (t) => {
  const file = join(await tempFolder(t), 'conversions.sqlite');
  const older = openDatabase(file, MIGRATIONS.slice(0, 2));
  const [source, lease] = [{ kind: 'upload' }, null] as const;
  const fields = { owner: ANN.email, state: 'queued', name: null, source, lease, now: 1 } as const;
  const queued = newConversion({ ...fields, id: mintFileId() });
  const due: Conversion = { ...queued, id: mintFileId(), state: 'ready', mail: 'due', endedAt: 1 };
  const sent: Conversion = { ...due, id: mintFileId(), mail: 'sent' };
  const insert = older.prepare(
    'INSERT INTO conversion (id, version, document, owner_key, created_at) VALUES (?, 1, ?, ?, 1)',
  );
  for (const one of [queued, due, sent]) insert.run(one.id, JSON.stringify(one), one.owner);
  older.close();
  const store = SqliteConversionStore.open(file);
  t.after(() => store.close());
  assert.deepEqual(await store.awaiting('conversion', 2, 10), [queued]);
  assert.deepEqual(await store.awaiting('mail', 2, 10), [due]);
});
