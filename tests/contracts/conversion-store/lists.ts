import assert from 'node:assert/strict';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';
import { ANN, BOB, T0, createAll, fresh, ids } from './fixtures.ts';
import { type Clause, type OpenStore } from '../store-subject.ts';

/** All pages of a list; `between` runs after each page. */
async function pages(
  store: ConversionStore,
  owner: string,
  limit: number,
  between: () => Promise<void> = () => Promise.resolve(),
): Promise<FileId[][]> {
  const all: FileId[][] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(owner, cursor === undefined ? { limit } : { limit, cursor });
    all.push(ids(page.conversions));
    cursor = page.next;
    await between();
  } while (cursor !== undefined && all.length < 100);
  return all;
}

/** An owner's records, page by page. */
export function listClauses(clause: Clause, open: OpenStore<ConversionStore>): void {
  clause("list() gives the owner's records in any letter case, and never another's", async (t) => {
    const { store } = await open(t);
    const [first, second, third] = [
      fresh({ owner: ANN }),
      fresh({ owner: ANN.toUpperCase() }),
      fresh({ owner: BOB }),
    ];
    await createAll(store, first, second, third);
    const listed = await store.list(ANN.toLowerCase(), { limit: 10 });
    assert.deepEqual(ids(listed.conversions), [second.id, first.id]);
    assert.equal(listed.next, undefined);
    assert.deepEqual(ids((await store.list(BOB, { limit: 10 })).conversions), [third.id]);
    assert.deepEqual(await store.list('cid@example.com', { limit: 10 }), {
      conversions: [],
      next: undefined,
    });
  });

  clause('a cursor of one owner shows nothing of it to another', async (t) => {
    const { store } = await open(t);
    const [anns, bobs] = [[1, 2, 3].map((n) => fresh({ now: T0 + n })), fresh({ owner: BOB, now: T0 })];
    await createAll(store, ...anns, bobs);
    const { next } = await store.list(ANN, { limit: 1 });
    assert.ok(next !== undefined);
    assert.deepEqual(ids((await store.list(BOB, { limit: 10, cursor: next })).conversions), [bobs.id]);
  });

  clause('list() pages newest first, each record once, also those of one millisecond', async (t) => {
    const { store } = await open(t);
    const times = [5, 1, 3, 3, 3, 3, 3, 2, 9, 9, 0];
    const records = times.map((ms) => fresh({ now: T0 + ms }));
    await createAll(store, ...records);
    const newestFirst = records.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
    for (const limit of [1, 2, 3, 10, 11, 100]) {
      const seen = await pages(store, ANN, limit);
      assert.deepEqual(seen.flat(), ids(newestFirst), `limit ${String(limit)}`);
      assert.equal(seen.length, Math.ceil(records.length / limit), 'no empty page at the end');
    }
  });

  clause('list() shows each record once though others are added and removed meanwhile', async (t) => {
    const { store } = await open(t);
    const records = Array.from({ length: 7 }, (_, n) => fresh({ now: T0 + Math.floor(n / 3) }));
    await createAll(store, ...records);
    let added = 0;
    const seen = await pages(store, ANN, 2, async () => {
      added += 1;
      await store.create(fresh({ now: T0 + 100 + added }));
      await store.create(fresh({ now: T0 + 100 + added, owner: BOB }));
    });
    assert.deepEqual(seen.flat(), ids(records.toReversed()));
    const first = await store.list(ANN, { limit: 1 });
    await store.remove(first.conversions[0]?.id ?? mintFileId());
    assert.ok(first.next !== undefined);
    const rest = await store.list(ANN, { limit: 100, cursor: first.next });
    assert.equal(rest.conversions.length, records.length + added - 1, 'the cursor outlives its record');
  });

  clause('a cursor that this store did not make is request.malformed', async (t) => {
    const { store } = await open(t);
    await createAll(store, fresh(), fresh());
    const { next } = await store.list(ANN, { limit: 1 });
    assert.ok(next !== undefined);
    const pair = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forged = [
      '',
      'x',
      '!!!',
      `${next}=`,
      `${next}A`,
      next.slice(1),
      ' ' + next,
      pair([T0]),
      pair([T0, 'zz']),
    ];
    for (const cursor of [...forged, pair(['1', mintFileId()]), pair({}), pair([1, mintFileId(), 3])]) {
      await assert.rejects(store.list(ANN, { limit: 1, cursor }), { code: 'request.malformed' }, cursor);
    }
  });

  clause('a page has 1 to 100 records', async (t) => {
    const { store } = await open(t);
    for (const limit of [0, -1, 101, 1.5, Number.NaN]) {
      await assert.rejects(store.list(ANN, { limit }), { code: 'request.malformed' }, String(limit));
    }
  });
}
