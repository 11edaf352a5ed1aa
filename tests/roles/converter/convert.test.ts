import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancel, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { announcementId } from '../../../src/flow/announce.ts';
import {
  converterStage,
  drainQueue,
  mp3Ids,
  onlyMp3,
  OWNER,
  record,
  send,
  settled,
  storeUpload,
  storeVideo,
} from '../../support/converter-stage.ts';
import { encode, ENCODED, ScriptedEngine } from '../../support/scripted-engine.ts';

const isReady = ({ state }: Conversion): boolean => state === 'ready';

test('a message becomes an MP3, and its FileId is written in the very step to ready', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await storeUpload(stage);
  await send(stage, id);
  const ready = await record(stage, id, 'ready', isReady);

  const mp3 = await onlyMp3(stage);
  assert.equal(mp3.text, 'mp3:video');
  assert.equal(ready.mp3Fid, mp3.id);
  assert.deepEqual([ready.mp3Bytes, ready.durationMs, ready.attempts], [9, 20_000, 1]);
  assert.deepEqual([ready.progress, ready.mail, ready.incomplete], [1, 'due', false]);
  assert.deepEqual([ready.lease, ready.drafts, ready.failure], [null, [], null]);
  for (const step of stage.history) assert.equal(step.mp3Fid !== null, step.state === 'ready', step.state);
});

test('the mp3 message carries the three wire fields, and what nobody here knows of the video message', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await storeUpload(stage);
  await send(stage, id, { traceparent: '00-1', tags: ['a', { b: null }] });
  const { mp3Fid } = await record(stage, id, 'announced', (c) => isReady(c) && c.unpublished.length === 0);
  assert.deepEqual(await drainQueue(stage, 'mp3'), [
    { video_fid: id, mp3_fid: mp3Fid, username: OWNER, traceparent: '00-1', tags: ['a', { b: null }] },
  ]);
});

test('the name of the file becomes the title, without its ending', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine, { concurrency: 1 });
  const names = ['My talk 3.0.mp4', '.mp4', 'no ending', null];
  for (const name of names) await send(stage, await storeUpload(stage, { name }));
  await settled(stage);
  assert.deepEqual(
    engine.requests.map(({ tags }) => tags),
    [{ title: 'My talk 3.0' }, { title: '.mp4' }, { title: 'no ending' }, {}],
  );
});

test('a video that broke off becomes an MP3 that is marked incomplete', async (t) => {
  const engine = new ScriptedEngine(async (request) => ({ ...(await encode(request)), incomplete: true }));
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  assert.equal((await record(stage, id, 'ready', isReady)).incomplete, true);
});

test('a message of another implementation, whose file has no record, makes one and is converted', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await storeVideo(stage, 'foreign');
  // In the other letter case, as nothing forbids.
  await stage.broker.port.publish('video', {
    video_fid: id.toUpperCase(),
    mp3_fid: null,
    username: 'bob@example.com',
    extra: 1,
  });
  const ready = await record(stage, id, 'announced', (c) => isReady(c) && c.unpublished.length === 0);
  assert.deepEqual(
    [ready.owner, ready.name, ready.source, ready.videoBytes],
    ['bob@example.com', null, { kind: 'foreign' }, 7],
  );
  const mp3 = await onlyMp3(stage);
  assert.equal(mp3.text, 'mp3:foreign');
  assert.deepEqual(await drainQueue(stage, 'mp3'), [
    { video_fid: id, mp3_fid: mp3.id, username: 'bob@example.com', extra: 1 },
  ]);
});

test('a repeated message stores nothing, and publishes only what is still owed', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  const first = await record(stage, id, 'announced', (c) => isReady(c) && c.unpublished.length === 0);
  assert.equal((await drainQueue(stage, 'mp3')).length, 1);

  await send(stage, id);
  await settled(stage);
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);

  // As a crash between the record and its announcement leaves it.
  const owed = [{ announcement: 'mp3', since: 1 }] as const;
  await stage.conversions.port.update(id, (c) => ({ ...c, unpublished: owed }));
  await send(stage, id);
  const last = await record(stage, id, 'announced again', (c) => c.unpublished.length === 0);
  assert.equal((await drainQueue(stage, 'mp3')).length, 1);
  assert.equal(last.mp3Fid, first.mp3Fid);
  assert.equal(engine.requests.length, 1);
  assert.equal((await mp3Ids(stage)).length, 1);
});

test('of deliveries at the same time, in one process or two, exactly one converts', async (t) => {
  const release = Promise.withResolvers<undefined>();
  const engine = new ScriptedEngine(async (request) => {
    await release.promise;
    return encode(request);
  });
  const stage = await converterStage(t, engine);
  await stage.another();
  const id = await storeUpload(stage);
  await Promise.all([send(stage, id), send(stage, id), send(stage, id)]);
  await record(stage, id, 'converting', ({ state }) => state === 'converting');
  // The others have been told to come again later, and did not wait in vain for the lease to run out.
  await record(stage, id, 'renewed several times', ({ version }) => version > 20);
  release.resolve(undefined);
  const ready = await record(stage, id, 'ready', isReady);
  await settled(stage);
  assert.equal(engine.requests.length, 1);
  assert.equal(ready.attempts, 1);
  assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
  assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
});

test('the lease is renewed while the conversion runs, and its progress is written', async (t) => {
  const shown = Promise.withResolvers<undefined>();
  const engine = new ScriptedEngine(async (request) => {
    request.onProgress?.(0.42);
    await shown.promise;
    return encode(request);
  });
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  const begun = await record(stage, id, 'under way', ({ progress }) => progress === 0.42);
  const renewed = await record(stage, id, 'renewed again', ({ lease }) => {
    return lease !== null && lease.until > (begun.lease?.until ?? Infinity) + 100;
  });
  assert.equal(renewed.lease?.holder, begun.lease?.holder);
  shown.resolve(undefined);
  assert.equal((await record(stage, id, 'ready', isReady)).attempts, 1);
});

test('a message that overtakes its upload waits for it, and no attempt is counted', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage, { state: 'uploading' });
  await send(stage, id);
  await stage.conversions.port.update(id, (c) => ({ ...c, state: 'queued' }));
  const ready = await record(stage, id, 'ready', isReady);
  assert.deepEqual([ready.attempts, engine.requests.length], [1, 1]);
});

test('a message of a cancelled conversion is done, and what a converter that died left of it goes', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const draft = mintFileId();
  await (await stage.mp3s.port.create(draft)).commit();
  const id = await storeUpload(stage, { drafts: [draft] });
  await stage.conversions.port.update(id, (c) => cancel(c, Date.now()));
  await send(stage, id);
  await settled(stage);
  assert.equal(engine.requests.length, 0);
  assert.deepEqual(await mp3Ids(stage), []);
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);
});

test('an announcement of ours whose record its owner has removed makes no new one', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = mintFileId();
  const body = { video_fid: id, mp3_fid: null, username: OWNER };
  await stage.broker.port.publish('video', body, { messageId: announcementId('video', id) });
  await settled(stage);
  assert.equal(await stage.conversions.port.find(id), undefined);
  assert.deepEqual(await drainQueue(stage, 'audiowave.failed'), []);
});

test('no more conversions run at the same time than the setting says', async (t) => {
  const release = Promise.withResolvers<undefined>();
  let [running, most] = [0, 0];
  const step = async (): Promise<typeof ENCODED> => {
    running += 1;
    most = Math.max(most, running);
    if (most === 2) release.resolve(undefined);
    await release.promise;
    running -= 1;
    return ENCODED;
  };
  const stage = await converterStage(t, new ScriptedEngine(step, step, step, step, step));
  for (let n = 0; n < 5; n += 1) await send(stage, await storeUpload(stage));
  await settled(stage);
  assert.equal(most, 2);
});
