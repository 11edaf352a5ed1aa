import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancel, type Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import type { FileId } from '../../../src/domain/ids.ts';
import type { Change } from '../../../src/ports/conversion-store.ts';
import {
  converterStage,
  drainQueue,
  mp3Ids,
  onlyMp3,
  record,
  send,
  settled,
  storeUpload,
  type ConverterStage,
} from '../../support/converter-stage.ts';
import { encode, ScriptedEngine } from '../../support/scripted-engine.ts';

const isReady = ({ state }: Conversion): boolean => state === 'ready';
const away = new AudiowaveError('store.unavailable');

type Meant = (before: Conversion, after: Conversion) => boolean;

/** The writes of a conversion's way, by what they make of the record. */
const WRITES: Readonly<Record<string, Meant>> = {
  claim: (before, after) => before.state === 'queued' && after.state === 'converting',
  draft: (before, after) => before.drafts.length < after.drafts.length,
  finish: (_before, after) => after.state === 'ready' && after.unpublished.length > 0,
  'note that it is announced': (_before, after) => after.state === 'ready' && after.unpublished.length === 0,
};

/** The first write that `isMeant` knows takes effect, but its answer gets lost; then, `outage` more calls fail. */
function loseAnswer(stage: ConverterStage, isMeant: Meant, outage: number): () => boolean {
  const { port } = stage.conversions;
  const update = port.update.bind(port);
  let failing = -1;
  stage.conversions.intercept('update', async (id: FileId, change: Change) => {
    if (failing > 0) {
      failing -= 1;
      throw away;
    }
    const meant: boolean[] = [];
    const updated = await update(id, (before) => {
      const after = change(before);
      meant.push(failing < 0 && after !== undefined && isMeant(before, after));
      return after;
    });
    if (meant.at(-1) !== true) return updated;
    failing = outage;
    throw away;
  });
  return () => failing >= 0;
}

for (const [write, isMeant] of Object.entries(WRITES)) {
  for (const outage of [0, 4]) {
    test(`the answer to the ${write} is lost, ${String(outage)} calls fail: one MP3, no attempt more`, async (t) => {
      const engine = new ScriptedEngine();
      const stage = await converterStage(t, engine, { maxAttempts: 1, leaseMs: 60_000 });
      const wasLost = loseAnswer(stage, isMeant, outage);
      const id = await storeUpload(stage);
      await send(stage, id);
      const ready = await record(stage, id, 'ready', isReady);
      await settled(stage);
      assert.ok(wasLost(), 'the answer was lost');
      assert.deepEqual([ready.attempts, engine.requests.length], [1, 1]);
      assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
      assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
      assert.ok((await drainQueue(stage, 'mp3')).every(({ mp3_fid }) => mp3_fid === ready.mp3Fid));
    });
  }
}

test('a store that repeats a write by itself, when its answer got lost, loses no MP3', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine, { maxAttempts: 1, leaseMs: 60_000 });
  const { port } = stage.conversions;
  const update = port.update.bind(port);
  stage.conversions.intercept('update', async (id: FileId, change: Change) => {
    await update(id, change);
    return update(id, change);
  });
  const id = await storeUpload(stage);
  await send(stage, id);
  const ready = await record(stage, id, 'ready', isReady);
  await settled(stage);
  assert.deepEqual([ready.attempts, engine.requests.length], [1, 1]);
  assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
});

test('a commit whose answer is lost: the MP3 is made again, and the first one goes', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine, { maxAttempts: 1 });
  const { port } = stage.mp3s;
  const create = port.create.bind(port);
  let commits = 0;
  stage.mp3s.intercept('create', async (id, options) => {
    const writer = await create(id, options);
    const commit = writer.commit.bind(writer);
    writer.commit = async () => {
      const info = await commit();
      commits += 1;
      if (commits === 1) throw away;
      return info;
    };
    return writer;
  });
  const id = await storeUpload(stage);
  await send(stage, id);
  const ready = await record(stage, id, 'ready', isReady);
  assert.deepEqual([ready.attempts, engine.requests.length, commits], [1, 2, 2]);
  assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
});

test('the MP3 of a lost race that can not be removed stays named by its record', async (t) => {
  const engine = new ScriptedEngine(async (request) => {
    const result = await encode(request);
    await stage.conversions.port.update(id, (c) => cancel(c, Date.now()));
    stage.mp3s.breakWith(away, 'remove');
    return result;
  });
  const stage = await converterStage(t, engine, { renewMs: 60_000, leaseMs: 60_000 });
  const id = await storeUpload(stage);
  await send(stage, id);
  await settled(stage);
  const [left] = await mp3Ids(stage);
  assert.deepEqual((await stage.conversions.port.find(id))?.drafts, [left]);
});

test('an error of a store that is no verdict on the video fails nothing: it is tried again', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const { port } = stage.mp3s;
  const create = port.create.bind(port);
  let creates = 0;
  stage.mp3s.intercept('create', (id, options) => {
    creates += 1;
    return creates === 1 ? Promise.reject(new AudiowaveError('file.exists')) : create(id, options);
  });
  const id = await storeUpload(stage);
  await send(stage, id);
  assert.equal((await record(stage, id, 'ready', isReady)).attempts, 2);
});

test('the broker away while many conversions end: none waits for it, and each record owes its announcement', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine(), { concurrency: 1 });
  const hanging = t.mock.fn(
    (_queue: string, _body: unknown, { signal }: { signal?: AbortSignal } = {}) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          reject(new AudiowaveError('broker.unavailable'));
        });
      }),
  );
  const ids: FileId[] = [];
  for (let n = 0; n < 20; n += 1) {
    const id = await storeUpload(stage);
    ids.push(id);
    await send(stage, id);
  }
  stage.broker.intercept('publish', hanging);
  await settled(stage);
  assert.ok(hanging.mock.callCount() <= 2, String(hanging.mock.callCount()));
  for (const id of ids) {
    const owed = (await record(stage, id, 'ready', isReady)).unpublished;
    assert.deepEqual(
      owed.map(({ announcement }) => announcement),
      ['mp3'],
    );
  }
});
