import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancel, claim, nameDraft, finish, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
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
import { eventually } from '../../support/eventually.ts';
import { encode, ScriptedEngine, untilAborted } from '../../support/scripted-engine.ts';

const isReady = ({ state }: Conversion): boolean => state === 'ready';
const isConverting = ({ state }: Conversion): boolean => state === 'converting';

/** A conversion as a converter leaves it that was killed after it had stored its MP3 and before it said so. */
async function killedConversion(stage: ConverterStage, leaseMs: number): Promise<FileId> {
  const draft = mintFileId();
  const writer = await stage.mp3s.port.create(draft);
  await writer.write(Buffer.from('left behind'));
  await writer.commit();
  const id = await storeUpload(stage);
  const now = Date.now();
  await stage.conversions.port.update(id, (c) => claim(c, { holder: 'killed', until: now + leaseMs }, now));
  await stage.conversions.port.update(id, (c) => nameDraft(c, 'killed', draft));
  return id;
}

test('a conversion whose converter died is taken over, its draft goes, and there is one MP3', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await killedConversion(stage, 150);
  await send(stage, id);
  const ready = await record(stage, id, 'ready', isReady);
  const mp3 = await onlyMp3(stage);
  assert.deepEqual([mp3.id, mp3.text], [ready.mp3Fid, 'mp3:video']);
  assert.equal(ready.attempts, 2);
});

test('a converter that was believed dead and ends its work in the last moment keeps its MP3', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = await killedConversion(stage, -1);
  const [draft] = (await record(stage, id, 'converting', isConverting)).drafts;
  assert.ok(draft !== undefined);
  // It says so between the look at its record and the take-over.
  const { port } = stage.conversions;
  const find = port.find.bind(port);
  let looks = 0;
  stage.conversions.intercept('find', async (fid: FileId) => {
    const found = await find(fid);
    looks += 1;
    if (looks === 1) {
      const result = { mp3Fid: draft, mp3Bytes: 11, durationMs: 1, incomplete: false };
      await port.update(id, (c) => finish(c, 'killed', result, Date.now()));
    }
    return found;
  });
  await send(stage, id);
  await eventually('the record was looked at', () => looks > 0);
  const ready = await record(stage, id, 'ready', isReady);
  await settled(stage);
  assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
  assert.equal(engine.requests.length, 0);
});

test('a conversion whose converters died again and again has failed, and leaves nothing', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = await killedConversion(stage, 0);
  await stage.conversions.port.update(id, (c) => ({ ...c, attempts: 3 }));
  await send(stage, id);
  const failed = await record(
    stage,
    id,
    'announced',
    (c) => c.state === 'failed' && c.unpublished.length === 0,
  );
  assert.equal(failed.failure?.code, 'conversion.abandoned');
  await settled(stage);
  assert.equal(engine.requests.length, 0);
  assert.deepEqual(await mp3Ids(stage), []);
  const [dead, ...more] = await stage.broker.port.deadLetters('video', 10);
  assert.deepEqual([dead?.reason, more.length], ['conversion.abandoned', 0]);
  assert.deepEqual((await drainQueue(stage, 'audiowave.failed')).length, 1);
});

test('cancelling stops the encoder soon, no MP3 stays, and the record stays cancelled', async (t) => {
  const engine = new ScriptedEngine(untilAborted);
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  await eventually('the encoder runs', () => engine.requests.length === 1);
  const cancelledAt = Date.now();
  await stage.conversions.port.update(id, (c) => cancel(c, Date.now()));
  await eventually('the encoder is told to stop', () => engine.requests[0]?.signal.aborted);
  assert.ok(Date.now() - cancelledAt < 2_000);
  await settled(stage);
  const after = await stage.conversions.port.find(id);
  assert.deepEqual([after?.state, after?.mp3Fid, after?.mail], ['cancelled', null, 'none']);
  assert.deepEqual(await mp3Ids(stage), []);
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);
  assert.deepEqual(await drainQueue(stage, 'audiowave.failed'), []);
  assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
});

test('cancelling in the last moment, when the MP3 is whole, removes the MP3', async (t) => {
  const ended = Promise.withResolvers<undefined>();
  const stage = await converterStage(
    t,
    new ScriptedEngine(async (request) => {
      const result = await encode(request);
      await stage.conversions.port.update(id, (c) => cancel(c, Date.now()));
      ended.resolve(undefined);
      return result;
    }),
    // No renewal comes in between.
    { renewMs: 60_000, leaseMs: 60_000 },
  );
  const id = await storeUpload(stage);
  await send(stage, id);
  await ended.promise;
  await settled(stage);
  assert.equal((await stage.conversions.port.find(id))?.state, 'cancelled');
  assert.deepEqual(await mp3Ids(stage), []);
});

test('a record that is removed while its conversion runs stops the encoder, too', async (t) => {
  const engine = new ScriptedEngine(untilAborted);
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  await record(stage, id, 'converting', isConverting);
  await eventually('the encoder runs', () => engine.requests.length === 1);
  await stage.conversions.port.remove(id);
  await settled(stage);
  assert.deepEqual(await mp3Ids(stage), []);
});

test('a drain hands back what runs, uncounted and at once, and its draft goes', async (t) => {
  const engine = new ScriptedEngine(untilAborted);
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  await eventually('the encoder runs', () => engine.requests.length === 1);
  const stoppedAt = Date.now();
  await stage.role.stop(0);
  assert.ok(Date.now() - stoppedAt < 5_000);
  const back = await stage.conversions.port.find(id);
  assert.deepEqual([back?.state, back?.attempts, back?.lease], ['queued', 0, null]);
  assert.deepEqual(await mp3Ids(stage), []);
  assert.deepEqual(await stage.broker.port.depth('video'), { waiting: 1, unacknowledged: 0, dead: 0 });

  await stage.another();
  assert.equal((await record(stage, id, 'ready', isReady)).attempts, 1);
  await onlyMp3(stage);
});

test('a drain with enough time lets the conversion end', async (t) => {
  const release = Promise.withResolvers<undefined>();
  const engine = new ScriptedEngine(async (request) => {
    await release.promise;
    return encode(request);
  });
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  await eventually('the encoder runs', () => engine.requests.length === 1);
  const stopped = stage.role.stop(10_000);
  release.resolve(undefined);
  await stopped;
  assert.equal((await stage.conversions.port.find(id))?.state, 'ready');
});
