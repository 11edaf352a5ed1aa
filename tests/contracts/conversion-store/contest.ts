import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { CONTEST_SIZE, contend, contestId } from '../../support/store-contest.ts';
import { fresh } from './fixtures.ts';

/** Two processes claim and count in the empty store of `place` at the same time: each record has one winner, no count is lost. */
export async function holdContest(t: TestContext, store: ConversionStore, place: string): Promise<void> {
  t.after(() => store.close());
  for (let n = 0; n <= CONTEST_SIZE; n += 1) await store.create(fresh({ id: contestId(n) }));
  const { ours, theirs } = await contend(t, 'conversions', place);
  assert.equal(ours.length + theirs.length, CONTEST_SIZE);
  assert.equal((await store.find(contestId(0)))?.attempts, 2 * CONTEST_SIZE);
  for (let n = 1; n <= CONTEST_SIZE; n += 1) {
    const record = await store.find(contestId(n));
    assert.ok(record);
    assert.equal(record.lease?.holder, ours.includes(contestId(n)) ? 'parent' : 'child');
    assert.equal(record.attempts, 1);
    assert.equal(record.version, 2);
  }
}
