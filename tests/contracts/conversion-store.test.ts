import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryConversionStore } from '../../src/adapters/memory/conversion-store.ts';
import { SqliteConversionStore } from '../../src/adapters/sqlite/conversion-store.ts';
import { tempFolder } from '../support/temp.ts';
import { holdContest } from './conversion-store/contest.ts';
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
  await holdContest(t, SqliteConversionStore.open(file), file);
});
