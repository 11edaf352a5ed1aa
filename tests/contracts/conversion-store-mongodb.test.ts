import { after, before, test } from 'node:test';
import { MongoConversionStore } from '../../src/adapters/mongodb/conversion-store.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { holdContest } from './conversion-store/contest.ts';
import { conversionStoreContract } from './conversion-store.contract.ts';
import { durableSubject } from './store-subject.ts';

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

conversionStoreContract('mongodb', (t) => {
  const url = server.freshUrl();
  return durableSubject(t, () => MongoConversionStore.open(url, { log: recordedLog() }));
});

test('mongodb: two processes claim and count at the same time; each record has one winner and no count is lost', async (t) => {
  const url = server.freshUrl();
  await holdContest(t, MongoConversionStore.open(url, { log: recordedLog() }), url);
});
