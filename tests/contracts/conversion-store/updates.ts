import assert from 'node:assert/strict';
import { cancel, finish, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { ANN, T0, converting, createAll, fresh, ids, oneClaims, ready } from './fixtures.ts';
import { type Clause, type OpenStore } from '../store-subject.ts';

/** Changes are atomic and legal; of two movers one wins. */
export function updateClauses(clause: Clause, open: OpenStore<ConversionStore>): void {
  clause('update() writes the change, raises the version by one and gives back what it stored', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    for (let version = 2; version <= 4; version += 1) {
      const stored = await store.update(record.id, (c) => ({
        ...c,
        name: `take ${String(version)}`,
        version: 77,
      }));
      assert.deepEqual(stored, { ...record, name: `take ${String(version)}`, version });
      assert.deepEqual(await store.find(record.id), stored);
    }
  });

  clause('update() never changes the id or the time of creation', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    await store.update(record.id, (c) => ({ ...c, id: mintFileId(), createdAt: 1 }));
    assert.deepEqual(await store.find(record.id), { ...record, version: 2 });
  });

  clause('a change that returns undefined writes nothing and resolves undefined', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    assert.equal(await store.update(record.id, () => undefined), undefined);
    assert.deepEqual(await store.find(record.id), record);
  });

  clause('update() of an unknown id resolves undefined without asking for a change', async (t) => {
    const { store } = await open(t);
    const change = t.mock.fn((c: Conversion) => c);
    assert.equal(await store.update(mintFileId(), change), undefined);
    assert.equal(change.mock.callCount(), 0);
  });

  clause('an illegal move is refused and nothing is written', async (t) => {
    const { store } = await open(t);
    const record = ready(T0);
    await store.create(record);
    for (const state of ['queued', 'converting', 'failed', 'cancelled'] as const) {
      const moved = store.update(record.id, (c) => ({ ...c, state, name: 'never' }));
      await assert.rejects(moved, { code: 'conversion.illegal-move' });
    }
    assert.deepEqual(await store.find(record.id), record);
    assert.equal((await store.update(record.id, (c) => c))?.version, 2, 'the store goes on working');
  });

  clause('a change that throws is passed on and nothing is written', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    const mistake = new TypeError('a mistake in the change');
    await assert.rejects(
      store.update(record.id, () => {
        throw mistake;
      }),
      mistake,
    );
    assert.deepEqual(await store.find(record.id), record);
    assert.equal((await store.update(record.id, (c) => c))?.version, 2, 'the store goes on working');
  });

  clause('of two converters that claim at once one wins', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    await oneClaims([store, store], record.id);
  });

  clause('of cancel and finish at once one wins, and the loser learns it', async (t) => {
    const { store } = await open(t);
    const record = converting(T0 + 1_000);
    await store.create(record);
    const result = { mp3Fid: mintFileId(), mp3Bytes: 1, durationMs: 1, incomplete: false };
    const outcomes = await Promise.all([
      store.update(record.id, (c) => cancel(c, T0 + 1)),
      store.update(record.id, (c) => finish(c, 'converter', result, T0 + 1)),
    ]);
    const [winner, ...others] = outcomes.filter((outcome) => outcome !== undefined);
    assert.deepEqual(others, []);
    assert.deepEqual(await store.find(record.id), winner);
  });

  clause('of many simultaneous updates each sees the others', async (t) => {
    const { store } = await open(t);
    const record = fresh();
    await store.create(record);
    const raise = (): Promise<unknown> =>
      store.update(record.id, (c) => ({ ...c, attempts: c.attempts + 1 }));
    await Promise.all(Array.from({ length: 25 }, raise));
    assert.deepEqual(await store.find(record.id), { ...record, attempts: 25, version: 26 });
  });

  clause('remove() takes one record and says whether there was one', async (t) => {
    const { store } = await open(t);
    const [record, other] = [ready(T0), ready(T0)];
    await createAll(store, record, other);
    assert.equal(await store.remove(record.id), true);
    assert.equal(await store.remove(record.id), false);
    assert.equal(await store.find(record.id), undefined);
    assert.deepEqual(ids((await store.list(ANN, { limit: 10 })).conversions), [other.id]);
    assert.deepEqual(ids(await store.retentionDue('mp3', T0 + 1, 10)), [other.id]);
    await store.create(record);
    assert.deepEqual(await store.find(record.id), record);
  });
}
