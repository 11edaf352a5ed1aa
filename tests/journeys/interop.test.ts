import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import type { Conversion } from '../../src/domain/conversion.ts';
import { collect } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { foreignClaims, foreignToken } from '../support/foreign-token.ts';
import { interopStage, QUEUES, SECRET, type InteropStage } from '../support/interop-stage.ts';
import { failing, ScriptedEngine } from '../support/scripted-engine.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { startRabbitMq, type RabbitMqServer } from '../support/servers/rabbitmq.ts';

// Beside other implementations of the family, which know the queues, the buckets and the token, and nothing of us.

const BOB = 'bob@example.com';

let servers: { rabbitmq: RabbitMqServer; mongodb: MongoDbServer };

before(async () => {
  const [rabbitmq, mongodb] = await Promise.all([startRabbitMq(), startMongoDb()]);
  servers = { rabbitmq, mongodb };
});

after(async () => {
  await Promise.all([servers.rabbitmq.stop(), servers.mongodb.stop()]);
});

/** As another implementation's auth signs it. */
function bearer(username: string): { readonly authorization: string } {
  return { authorization: `Bearer ${foreignToken(SECRET, foreignClaims(username))}` };
}

async function upload(url: string, username = BOB): Promise<FileId> {
  const body = new FormData();
  body.append('file', new Blob(['a video']), 'talk.mp4');
  const answer = await fetch(`${url}/upload`, { method: 'POST', headers: bearer(username), body });
  assert.deepEqual([answer.status, await answer.text()], [200, 'success!']);
  return answer.headers.get('x-conversion-id') as FileId;
}

function record(
  { conversions }: InteropStage,
  id: FileId,
  what: string,
  looks: (conversion: Conversion) => boolean,
): Promise<Conversion> {
  return eventually(
    `the record is ${what}`,
    async () => {
      const found = await conversions.find(id);
      return found !== undefined && looks(found) ? found : undefined;
    },
    30_000,
  );
}

const isMailed = ({ state, mail }: Conversion): boolean => state === 'ready' && mail === 'sent';

async function download(url: string, fid: string, username: string): Promise<readonly [number, string]> {
  const answer = await fetch(`${url}/download?fid=${fid}`, { headers: bearer(username) });
  return [answer.status, await answer.text()];
}

void test('a message with the three fields only, on queues made by hand, is converted and notified', async (t) => {
  const stage = await interopStage(t, servers);
  const { foreign } = stage;
  await foreign.declareQueues();
  await stage.converter(new ScriptedEngine());
  await stage.notification();
  const fid = await foreign.store('videos', 'a foreign video');
  await foreign.send(QUEUES.video, { video_fid: fid, mp3_fid: null, username: BOB });
  const ready = await record(stage, fid, 'mailed', isMailed);
  assert.deepEqual([ready.owner, ready.source.kind, ready.videoBytes], [BOB, 'foreign', 15]);
  assert.equal((await foreign.read('mp3s', String(ready.mp3Fid))).toString(), 'mp3:a foreign video');
  assert.deepEqual(
    stage.mailer.sent.map(({ to }) => to),
    [BOB],
  );
  const gateway = await stage.gateway();
  assert.deepEqual(await download(gateway, String(ready.mp3Fid), BOB), [200, 'mp3:a foreign video']);
  assert.deepEqual(await download(gateway, String(ready.mp3Fid), 'eve@example.com'), [404, 'not found']);
});

void test('our gateway and notification beside a foreign converter', async (t) => {
  const stage = await interopStage(t, servers);
  await stage.foreign.declareQueues();
  const gateway = await stage.gateway();
  await stage.notification();
  const id = await upload(gateway);
  // Nobody has taken it yet, and the sweeper has run.
  assert.equal((await record(stage, id, 'announced', (c) => c.unpublished.length === 0)).state, 'queued');
  await stage.foreign.convert();
  const ready = await record(stage, id, 'mailed', isMailed);
  assert.deepEqual([ready.owner, ready.attempts, ready.name], [BOB, 0, 'talk.mp4']);
  assert.deepEqual(await download(gateway, String(ready.mp3Fid), BOB), [200, 'foreign:a video']);
  assert.equal(stage.mailer.sent.length, 1);
  assert.match(stage.mailer.sent[0]?.text ?? '', /talk/);
});

void test('our converter and a foreign one on the same queue: each video once, all of them ready', async (t) => {
  const stage = await interopStage(t, servers);
  await stage.foreign.declareQueues();
  const gateway = await stage.gateway();
  await stage.converter(new ScriptedEngine());
  await stage.foreign.convert();
  await stage.notification();
  const ids = await Promise.all(Array.from({ length: 20 }, () => upload(gateway)));
  for (const id of ids) await record(stage, id, 'mailed', isMailed);
  assert.equal(stage.mailer.sent.length, 20);
  const mp3s: string[] = [];
  for await (const { id } of stage.mp3s.list()) mp3s.push(id);
  const named = await Promise.all(ids.map(async (id) => (await stage.conversions.find(id))?.mp3Fid));
  assert.deepEqual(mp3s.sort(), named.map(String).sort());
});

void test('our converter with a foreign notification, which sees successes only and all fields', async (t) => {
  const stage = await interopStage(t, servers);
  const { foreign } = stage;
  await foreign.declareQueues();
  await stage.converter(new ScriptedEngine(failing(new AudiowaveError('audio.no-sound'))));
  const seen: Record<string, unknown>[] = [];
  await foreign.consume(QUEUES.mp3, (body) => {
    seen.push(body);
    return Promise.resolve();
  });
  const bad = await foreign.store('videos', 'silence');
  await foreign.send(QUEUES.video, { video_fid: bad, mp3_fid: null, username: BOB });
  await record(stage, bad, 'failed', ({ state }) => state === 'failed');
  const good = await foreign.store('videos', 'sound');
  const extra = { video_fid: good, mp3_fid: null, username: BOB, tenant: 7, tags: ['a', { b: null }] };
  await foreign.send(QUEUES.video, extra);
  const ready = await record(stage, good, 'ready', ({ state }) => state === 'ready');
  await eventually('the foreign notification has it', () => seen.length === 1);
  assert.deepEqual(seen, [{ ...extra, mp3_fid: ready.mp3Fid }]);
  const bytes = await collect(stage.mp3s.read(ready.mp3Fid ?? mintFileId()));
  assert.equal(bytes.toString(), 'mp3:sound');
  await eventually(
    'the failure is announced on a queue of ours',
    async () => (await stage.broker.depth('audiowave.failed')).waiting === 1,
  );
});

void test('a file of others: an mp3 message that passes by tells its owner; else who may have it is a setting', async (t) => {
  const stage = await interopStage(t, servers);
  const { foreign } = stage;
  await foreign.declareQueues();
  const [closed, open] = [await stage.gateway(), await stage.gateway('open')];
  const [told, untold] = [await foreign.store('mp3s', 'told'), await foreign.store('mp3s', 'untold')];
  assert.deepEqual(await download(closed, told, BOB), [404, 'not found']);
  assert.deepEqual(await download(open, untold, 'eve@example.com'), [200, 'untold']);
  await stage.notification();
  const video_fid = mintFileId();
  await foreign.send(QUEUES.mp3, { video_fid, mp3_fid: told, username: BOB });
  await record(stage, video_fid, 'mailed', isMailed);
  assert.deepEqual(await download(closed, told, BOB), [200, 'told']);
  for (const url of [closed, open]) {
    assert.deepEqual(await download(url, told, 'eve@example.com'), [404, 'not found'], 'known now');
  }
  assert.deepEqual(await download(closed, untold, BOB), [404, 'not found']);
});

void test('bad messages are dead letters with a reason, and the next good one is converted', async (t) => {
  const stage = await interopStage(t, servers);
  const { foreign } = stage;
  await foreign.declareQueues();
  await stage.converter(new ScriptedEngine());
  const stored = await foreign.store('videos', 'v');
  const bad: (object | string)[] = [
    'no JSON {',
    '[1, 2]',
    { mp3_fid: null, username: BOB },
    { video_fid: 'x', mp3_fid: null, username: BOB },
    { video_fid: mintFileId(), mp3_fid: null, username: BOB },
    { video_fid: stored, mp3_fid: null, username: 'not an address' },
    { video_fid: stored, mp3_fid: null, username: BOB, padding: 'x'.repeat(10_000_000) },
  ];
  for (const body of bad) await foreign.send(QUEUES.video, body);
  const good = await foreign.store('videos', 'good');
  await foreign.send(QUEUES.video, { video_fid: good, mp3_fid: null, username: BOB });
  await record(stage, good, 'ready', ({ state }) => state === 'ready');
  const dead = await eventually('all are dead letters', async () => {
    const letters = await stage.broker.deadLetters(QUEUES.video, 100);
    return letters.length === bad.length ? letters : undefined;
  });
  for (const { reason } of dead) assert.match(reason, /\S/);
  assert.ok(dead.some(({ reason }) => reason.startsWith('file.unknown')));
  assert.equal(await stage.conversions.find(stored), undefined, 'no record that nobody ends');
});
