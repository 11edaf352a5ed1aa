import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { cancel, claim, fail, finish, nameDraft, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import { removeConversion } from '../../../src/services/gateway/remove-conversion.ts';
import { RunningWork } from '../../../src/services/gateway/running-work.ts';
import type { Edge } from '../../../src/services/gateway/edge.ts';
import { countFiles, storeFile } from './gateway-fixture.ts';
import { converting, HOUR, open, queued, record, type Setup } from './sweeper-stage.ts';

// The rows of "What a crash leaves, and who removes it" in docs/architecture.md that no other test has. Each begins with
// what the crash leaves, and ends with: nothing but what a record that its owner sees has.

/** Sweeps now, when leases have run out, when leftovers are old and when retention is over. */
async function sweepForDays(setup: Setup): Promise<void> {
  for (const ahead of [0, 20_000, HOUR + 30_000, 25 * HOUR, 27 * HOUR]) {
    setup.ahead = ahead;
    await setup.sweeper.runOnce();
  }
}

async function expectNothing(setup: Setup): Promise<void> {
  assert.deepEqual([await countFiles(setup.videos), await countFiles(setup.mp3s)], [0, 0]);
}

async function expectNoRecord(setup: Setup, id: FileId): Promise<void> {
  assert.equal(await setup.conversions.find(id), undefined);
}

/** What DELETE does. */
async function remove(setup: Setup, conversion: Conversion): Promise<void> {
  const edge = { deps: setup, work: new RunningWork() } as unknown as Edge;
  const current = await setup.conversions.findOwned(conversion.id, conversion.owner);
  if (current !== undefined) await removeConversion(edge, current);
}

async function begin(t: TestContext, state: 'uploading' | 'fetching'): Promise<[Setup, Conversion]> {
  const setup = await open(t);
  const conversion = await record(setup, state, -1);
  await setup.videos.remove(conversion.id);
  return [setup, conversion];
}

void test('an uploader that was swept makes its file whole and dies: the forgotten record names it', async (t) => {
  const [setup, { id }] = await begin(t, 'uploading');
  assert.equal((await setup.sweeper.runOnce()).removedUploads, 1);
  await storeFile(setup.videos, id, 'too late');
  await sweepForDays(setup);
  await expectNothing(setup);
  await expectNoRecord(setup, id);
});

void test('a sweeper that dies after it has forgotten a record: another one removes the file', async (t) => {
  const [setup, { id }] = await begin(t, 'uploading');
  await storeFile(setup.videos, id, 'whole');
  const removing = setup.videos.remove.bind(setup.videos);
  setup.videos.remove = () => Promise.reject(new Error('killed'));
  await setup.sweeper.runOnce();
  setup.videos.remove = removing;
  await sweepForDays(setup);
  await expectNothing(setup);
  await expectNoRecord(setup, id);
});

void test('a fetcher that was given up makes its file whole and dies: it goes before retention is over', async (t) => {
  const [setup, { id }] = await begin(t, 'fetching');
  await setup.conversions.update(id, (c) => ({ ...c, attempts: 3 }));
  assert.equal((await setup.sweeper.runOnce()).failed, 1);
  await storeFile(setup.videos, id, 'too late');
  setup.ahead = HOUR + 30_000;
  await setup.sweeper.runOnce();
  await expectNothing(setup);
  assert.equal((await setup.conversions.find(id))?.state, 'failed');
});

void test('an upload that its owner cancels and removes is made whole afterwards: it goes', async (t) => {
  const [setup, conversion] = await begin(t, 'uploading');
  await remove(setup, conversion);
  await remove(setup, conversion);
  assert.equal(await setup.conversions.findOwned(conversion.id, conversion.owner), undefined);
  await storeFile(setup.videos, conversion.id, 'too late');
  await sweepForDays(setup);
  await expectNothing(setup);
  await expectNoRecord(setup, conversion.id);
});

void test('a removal that dies between file and record: the record goes on naming what is left', async (t) => {
  const setup = await open(t);
  const conversion = await converting(setup, 1);
  const mp3Fid = mintFileId();
  await storeFile(setup.mp3s, mp3Fid, 'sound');
  const result = { mp3Fid, mp3Bytes: 5, durationMs: 1, incomplete: false };
  await setup.conversions.update(conversion.id, (c) => finish(c, 'converter', result, Date.now()));
  const removing = setup.videos.remove.bind(setup.videos);
  setup.videos.remove = () => Promise.reject(new Error('killed'));
  await assert.rejects(remove(setup, conversion), /killed/);
  setup.videos.remove = removing;
  await sweepForDays(setup);
  await expectNothing(setup);
});

/** A converter of attempt 1 that nobody has heard of for long, and its draft. */
async function slowConverter(setup: Setup): Promise<{ conversion: Conversion; draft: FileId }> {
  const draft = mintFileId();
  const conversion = await converting(setup, 1, draft);
  return { conversion, draft };
}

for (const [end, endIt] of [
  ['cancelled', (c) => cancel(c, Date.now())],
  [
    'failed by another',
    (c) => fail(c, null, { code: 'conversion.abandoned', message: '' }, Date.now() + HOUR),
  ],
] as const satisfies readonly (readonly [string, (c: Conversion) => Conversion | undefined])[]) {
  void test(`a draft made whole after its conversion was ${end}: its record names it`, async (t) => {
    const setup = await open(t);
    const { conversion, draft } = await slowConverter(setup);
    assert.ok(await setup.conversions.update(conversion.id, endIt));
    await storeFile(setup.mp3s, draft, 'too late');
    await sweepForDays(setup);
    await expectNothing(setup);
  });
}

void test('a draft made whole after another converter has finished goes; the MP3 stays', async (t) => {
  const setup = await open(t);
  const { conversion, draft } = await slowConverter(setup);
  const mp3Fid = mintFileId();
  const later = Date.now() + 2_000;
  await setup.conversions.update(conversion.id, (c) =>
    claim(c, { holder: 'other', until: later + 5_000 }, later),
  );
  await setup.conversions.update(conversion.id, (c) => nameDraft(c, 'other', mp3Fid));
  await storeFile(setup.mp3s, mp3Fid, 'sound');
  const result = { mp3Fid, mp3Bytes: 5, durationMs: 1, incomplete: false };
  assert.ok(await setup.conversions.update(conversion.id, (c) => finish(c, 'other', result, later)));
  await storeFile(setup.mp3s, draft, 'too late');
  await sweepForDays(setup);
  assert.equal(await countFiles(setup.mp3s), 1);
  assert.ok(await setup.mp3s.stat(mp3Fid));
});

void test('a draft made whole after the owner has removed the conversion: the forgotten record names it', async (t) => {
  const setup = await open(t);
  const { conversion, draft } = await slowConverter(setup);
  await remove(setup, conversion);
  await remove(setup, conversion);
  assert.deepEqual((await setup.conversions.list(conversion.owner, { limit: 10 })).conversions, []);
  await storeFile(setup.mp3s, draft, 'too late');
  await sweepForDays(setup);
  await expectNothing(setup);
  await expectNoRecord(setup, conversion.id);
});

void test('a conversion that is queued for long, since a foreign converter works on it, is left alone', async (t) => {
  const setup = await open(t);
  const { id } = await queued(setup);
  await sweepForDays(setup);
  const after = await setup.conversions.find(id);
  assert.deepEqual([after?.state, after?.attempts, after?.failure], ['queued', 0, null]);
  assert.ok(await setup.videos.stat(id));
});
