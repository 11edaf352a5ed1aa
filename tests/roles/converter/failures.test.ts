import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
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
  type ConverterStage,
} from '../../support/converter-stage.ts';
import { eventually } from '../../support/eventually.ts';
import { encode, failing, ScriptedEngine } from '../../support/scripted-engine.ts';

const isReady = ({ state }: Conversion): boolean => state === 'ready';
const isFailed = ({ state }: Conversion): boolean => state === 'failed';
const away = new AudiowaveError('store.unavailable');

/** How often the end of an attempt could not be written down. */
function unrecorded({ log }: ConverterStage): number {
  return log.entries.filter(({ message }) => message.startsWith('end of an attempt not recorded')).length;
}

test('what can never work fails at once with its sentence, and nothing travels on mp3', async (t) => {
  const engine = new ScriptedEngine(failing(new AudiowaveError('audio.no-sound')));
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  const failed = await record(stage, id, 'announced', (c) => isFailed(c) && c.unpublished.length === 0);
  assert.deepEqual(failed.failure, {
    code: 'audio.no-sound',
    message: 'The file has no sound. Upload a video that has a sound track.',
  });
  assert.deepEqual([failed.mail, failed.mp3Fid, failed.attempts], ['due', null, 1]);
  await settled(stage);
  assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);
  assert.deepEqual(await drainQueue(stage, 'audiowave.failed'), [
    { video_fid: id, mp3_fid: null, username: OWNER },
  ]);
  assert.deepEqual(await mp3Ids(stage), []);
});

test('after a failure the converter takes the next message', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine(failing(new AudiowaveError('audio.damaged'))));
  const [bad, good] = [await storeUpload(stage), await storeUpload(stage)];
  await send(stage, bad);
  await record(stage, bad, 'failed', isFailed);
  await send(stage, good);
  await record(stage, good, 'ready', isReady);
});

test('a repeated message of a failed conversion publishes only what is still owed', async (t) => {
  const engine = new ScriptedEngine(failing(new AudiowaveError('audio.empty')));
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  await record(stage, id, 'announced', (c) => isFailed(c) && c.unpublished.length === 0);
  await settled(stage);
  await send(stage, id);
  await settled(stage);
  assert.equal(engine.requests.length, 1);
  assert.equal((await drainQueue(stage, 'audiowave.failed')).length, 1);
});

test('what may work later is tried again after a back-off, and the attempts are counted', async (t) => {
  const engine = new ScriptedEngine(failing(new AudiowaveError('audio.encoder-failed')));
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  await send(stage, id);
  const first = await record(stage, id, 'handed back', (c) => c.state === 'queued' && c.attempts === 1);
  assert.equal(first.lease, null);
  assert.deepEqual(await mp3Ids(stage), []);
  const ready = await record(stage, id, 'ready', isReady);
  assert.equal(ready.attempts, 2);
  assert.ok((ready.startedAt ?? 0) - first.updatedAt >= 950, 'the second attempt waits a second');
  await onlyMp3(stage);
});

test('an error that nobody knows counts as one of the encoder, and its text is for the log only', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine(failing(new TypeError('at /srv/data/x'))), {
    maxAttempts: 1,
  });
  const id = await storeUpload(stage);
  await send(stage, id);
  const { failure } = await record(stage, id, 'failed', isFailed);
  assert.deepEqual(failure, {
    code: 'audio.encoder-failed',
    message: 'The encoder program broke off. Upload the file again.',
  });
  assert.ok(stage.log.entries.some(({ fields }) => fields.detail === 'at /srv/data/x'));
});

test('after the last attempt the conversion has failed, and its message is a dead letter', async (t) => {
  const error = failing(new AudiowaveError('audio.encoder-failed'));
  const engine = new ScriptedEngine(error, error, error);
  const stage = await converterStage(t, engine, { maxAttempts: 2 });
  const id = await storeUpload(stage);
  await send(stage, id);
  const failed = await record(stage, id, 'announced', (c) => isFailed(c) && c.unpublished.length === 0);
  assert.deepEqual([failed.failure?.code, failed.attempts], ['audio.encoder-failed', 2]);
  await settled(stage);
  assert.equal(engine.requests.length, 2);
  const dead = await stage.broker.port.deadLetters('video', 10);
  assert.deepEqual(
    dead.map(({ body, reason }) => [body?.video_fid, reason]),
    [[id, 'audio.encoder-failed']],
  );
  assert.equal((await drainQueue(stage, 'audiowave.failed')).length, 1);
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);
});

test('a video that is missing fails with a sentence', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await storeUpload(stage);
  await stage.videos.port.remove(id);
  await send(stage, id);
  assert.deepEqual((await record(stage, id, 'failed', isFailed)).failure, {
    code: 'file.unknown',
    message: 'The video is no longer in the store. Check the id, or upload the file again.',
  });
});

test('records away at the beginning: the message waits, and nothing is counted', async (t) => {
  const engine = new ScriptedEngine();
  const stage = await converterStage(t, engine);
  const id = await storeUpload(stage);
  stage.conversions.breakWith(away);
  await send(stage, id);
  await eventually('it was tried several times', () => stage.log.entries.length > 3);
  assert.equal(engine.requests.length, 0);
  stage.conversions.mend();
  assert.equal((await record(stage, id, 'ready', isReady)).attempts, 1);
  assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
});

for (const leaseMs of [60_000, 100]) {
  const lease = leaseMs > 1_000 ? 'shorter than' : 'longer than';
  test(`records away during a conversion, ${lease} its lease: nothing is counted`, async (t) => {
    const engine = new ScriptedEngine(async (request) => {
      stage.conversions.breakWith(away);
      const until = Date.now() + (leaseMs > 1_000 ? 0 : 2 * leaseMs);
      await eventually('the lease ran out, where it is short', () => Date.now() >= until);
      return encode(request);
    });
    const stage = await converterStage(t, engine, { maxAttempts: 1, leaseMs });
    const id = await storeUpload(stage);
    await send(stage, id);
    await eventually('its end could not be recorded twice', () => unrecorded(stage) > 1);
    stage.conversions.mend();
    const ready = await record(stage, id, 'ready', isReady);
    assert.deepEqual([ready.attempts, engine.requests.length], [1, 1], 'the MP3 is made once');
    assert.equal((await onlyMp3(stage)).id, ready.mp3Fid);
    await settled(stage);
    assert.deepEqual(await stage.broker.port.deadLetters('video', 10), []);
  });
}

test('a drain does not wait for records that are away', async (t) => {
  const engine = new ScriptedEngine((request) => {
    stage.conversions.breakWith(away);
    return encode(request);
  });
  const stage = await converterStage(t, engine, { renewMs: 60_000, leaseMs: 60_000 });
  await send(stage, await storeUpload(stage));
  await eventually('its end could not be recorded', () => unrecorded(stage) > 0);
  const stoppedAt = Date.now();
  await stage.role.stop(0);
  assert.ok(Date.now() - stoppedAt < 5_000);
  assert.deepEqual(await stage.broker.port.depth('video'), { waiting: 1, unacknowledged: 0, dead: 0 });
});

for (const store of ['videos', 'mp3s'] as const) {
  test(`the store of ${store} away: nothing is counted, and the conversion is done later`, async (t) => {
    const stage = await converterStage(t, new ScriptedEngine(), { maxAttempts: 1 });
    const id = await storeUpload(stage);
    stage[store].breakWith(away);
    await send(stage, id);
    await eventually(
      'it was tried several times',
      () => stage.log.entries.filter(({ message }) => message.startsWith('conversion paused')).length > 2,
    );
    stage[store].mend();
    assert.equal((await record(stage, id, 'ready', isReady)).attempts, 1);
    await onlyMp3(stage);
  });
}

for (const [code, what] of [
  ['store.full', 'a full disk'],
  ['audio.encoder-missing', 'a missing encoder program'],
] as const) {
  test(`${what} fails no conversion: it is tried again, uncounted`, async (t) => {
    const full = failing(new AudiowaveError(code));
    const stage = await converterStage(t, new ScriptedEngine(full, full, full), { maxAttempts: 2 });
    const id = await storeUpload(stage);
    await send(stage, id);
    assert.equal((await record(stage, id, 'ready', isReady)).attempts, 1);
    await onlyMp3(stage);
  });
}

test('the broker away when the end is announced: the record owes it', async (t) => {
  const stage = await converterStage(
    t,
    new ScriptedEngine(encode, failing(new AudiowaveError('audio.empty'))),
    {
      concurrency: 1,
    },
  );
  const [good, bad] = [await storeUpload(stage), await storeUpload(stage)];
  await send(stage, good);
  await send(stage, bad);
  stage.broker.breakWith(new AudiowaveError('broker.unavailable'), 'publish');
  const ready = await record(stage, good, 'ready', isReady);
  const failed = await record(stage, bad, 'failed', isFailed);
  assert.deepEqual(
    [ready, failed].map(({ unpublished }) => unpublished.map(({ announcement }) => announcement)),
    [['mp3'], ['failed']],
  );
  await settled(stage);
  stage.broker.mend();
  assert.deepEqual(await drainQueue(stage, 'mp3'), []);
});

test('a malformed message is a dead letter, and the next one is converted', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const { port } = stage.broker;
  const bodies = [
    {},
    { video_fid: 'no id', username: OWNER },
    { video_fid: mintFileId() },
    { video_fid: mintFileId(), mp3_fid: mintFileId(), username: OWNER },
    { video_fid: { $ne: null }, username: OWNER },
  ];
  for (const body of bodies) await port.publish('video', body);
  const id = await storeUpload(stage);
  await send(stage, id);
  await record(stage, id, 'ready', isReady);
  await settled(stage);
  const dead = await port.deadLetters('video', 10);
  assert.deepEqual(
    dead.map(({ body }) => body),
    bodies,
  );
  for (const { reason } of dead) assert.match(reason, /^broker\.malformed-message: /);
});

test('a foreign message that names no file, or no address, is a dead letter and leaves no record', async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const { port } = stage.broker;
  const [unknown, stored] = [mintFileId(), await storeVideo(stage)];
  await port.publish('video', { video_fid: unknown, mp3_fid: null, username: OWNER });
  await port.publish('video', { video_fid: stored, mp3_fid: null, username: 'nobody' });
  const id = await storeUpload(stage);
  await send(stage, id);
  await record(stage, id, 'ready', isReady);
  await settled(stage);
  const reasons = (await port.deadLetters('video', 10)).map(({ reason }) => reason);
  assert.deepEqual(reasons.sort(), [
    'broker.malformed-message: /username is no e-mail address',
    `file.unknown: no video ${unknown} in the store`,
  ]);
  for (const fid of [unknown, stored]) assert.equal(await stage.conversions.port.find(fid), undefined);
  for (const queue of ['mp3', 'audiowave.failed']) {
    const bodies = await drainQueue(stage, queue);
    assert.ok(
      bodies.every(({ video_fid }) => video_fid === id),
      queue,
    );
  }

  // Once the file is there, a replay of the dead letter converts it.
  const writer = await stage.videos.port.create(unknown);
  await writer.commit();
  assert.equal(await port.replay('video'), 2);
  assert.equal((await record(stage, unknown, 'ready', isReady)).source.kind, 'foreign');
});

test("an owner that is no address is no reason not to convert a video of one's own record", async (t) => {
  const stage = await converterStage(t, new ScriptedEngine());
  const id = await storeUpload(stage, { owner: 'admin' });
  await send(stage, id, { username: 'admin' });
  await record(stage, id, 'ready', isReady);
});
