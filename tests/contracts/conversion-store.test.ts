import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryConversionStore } from '../../src/adapters/memory/conversion-store.ts';
import { SqliteConversionStore } from '../../src/adapters/sqlite/conversion-store.ts';
import { CONTEST_SIZE, contend, contestId } from '../support/store-contest.ts';
import { tempFolder } from '../support/temp.ts';
import { fresh } from './conversion-store/fixtures.ts';
import { conversionStoreContract } from './conversion-store.contract.ts';
import { durableSubject } from './store-subject.ts';

conversionStoreContract('sqlite', async (t) => {
  const file = join(await tempFolder(t), 'data', 'conversions.sqlite');
  return durableSubject(t, () => SqliteConversionStore.open(file));
});

conversionStoreContract('memory', () => Promise.resolve({ store: new MemoryConversionStore() }), {
  reopen: 'keeps nothing on purpose: it is for tests of one process',
  second: 'its records belong to one instance',
});

test('sqlite: two processes claim and count at the same time; each record has one winner and no count is lost', async (t) => {
  const file = join(await tempFolder(t), 'conversions.sqlite');
  const store = SqliteConversionStore.open(file);
  t.after(() => store.close());
  for (let n = 0; n <= CONTEST_SIZE; n += 1) await store.create(fresh({ id: contestId(n) }));
  const { ours, theirs } = await contend(t, 'conversions', file);
  assert.equal(ours.length + theirs.length, CONTEST_SIZE);
  assert.equal((await store.find(contestId(0)))?.attempts, 2 * CONTEST_SIZE);
  for (let n = 1; n <= CONTEST_SIZE; n += 1) {
    const record = await store.find(contestId(n));
    assert.ok(record);
    assert.equal(record.lease?.holder, ours.includes(contestId(n)) ? 'parent' : 'child');
    assert.equal(record.attempts, 1);
    assert.equal(record.version, 2);
  }
});
