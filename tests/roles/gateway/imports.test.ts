import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { FAILED_QUEUE } from '../../../src/domain/messages.ts';
import type { FetchVideo } from '../../../src/services/gateway/import/fetch-video.ts';
import { streamed } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from './api-calls.ts';
import { bearer, countFiles, messagesOf, openGateway, readFile, type Fixture } from './gateway-fixture.ts';

const URL_TEXT = 'https://videos.example.com/talk.mp4?key=1';

/** Never ends by itself, as a slow server. */
const endless: FetchVideo = (_url, { signal }) =>
  Promise.resolve({
    name: null,
    body: (async function* () {
      for (;;) {
        yield Buffer.from('x');
        await new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, 10);
          signal.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(signal.reason as Error);
          });
        });
      }
    })(),
  });

async function begin(gateway: Fixture): Promise<Conversion['id']> {
  const { status, body } = await call(gateway, 'POST', '/conversions', { json: { url: URL_TEXT } });
  assert.deepEqual([status, body.state, body.source], [201, 'fetching', { kind: 'url', url: URL_TEXT }]);
  return body.id as Conversion['id'];
}

function inState(gateway: Fixture, id: Conversion['id'], state: Conversion['state']): Promise<Conversion> {
  return eventually(`${id} is ${state}`, async () => {
    const found = await gateway.conversions.find(id);
    return found?.state === state ? found : undefined;
  });
}

void test('a video behind a URL is fetched, stored, named and announced', async (t) => {
  const asked: [string, number][] = [];
  const fetchVideo: FetchVideo = (url, { maxBytes }) => {
    asked.push([url.href, maxBytes]);
    return Promise.resolve({
      body: streamed([Buffer.from('the '), Buffer.from('video')]),
      name: '../ta\u0000lk.mp4',
    });
  };
  const gateway = await openGateway(t, {}, { fetchVideo });
  const id = await begin(gateway);
  const queued = await inState(gateway, id, 'queued');
  assert.deepEqual([queued.name, queued.videoBytes, queued.lease], ['talk.mp4', 9, null]);
  assert.equal(String(await readFile(gateway.videos, id)), 'the video');
  assert.deepEqual(asked, [[URL_TEXT, 1024 * 1024]]);
  await eventually('its message', async () => (await gateway.broker.depth('video')).waiting === 1);
  const [message] = await messagesOf(gateway.broker, 'video');
  assert.deepEqual(message, { video_fid: id, mp3_fid: null, username: 'ann@example.com' });
});

void test('the answer comes at once, and the lease is renewed while the fetch runs', async (t) => {
  const gateway = await openGateway(t, { leaseMs: 90 }, { fetchVideo: endless });
  const id = await begin(gateway);
  const first = await gateway.conversions.find(id);
  const renewed = await eventually('four renewals', async () => {
    const found = await gateway.conversions.find(id);
    return found !== undefined && found.version >= (first?.version ?? 0) + 4 ? found : undefined;
  });
  assert.deepEqual([renewed.state, renewed.lease?.holder], ['fetching', 'gateway-1']);
});

void test('a fetch that fails is told like any other failure, and keeps nothing', async (t) => {
  const gateway = await openGateway(
    t,
    {},
    {
      fetchVideo: () => Promise.reject(new AudiowaveError('import.failed', 'The server answered 404.')),
    },
  );
  const id = await begin(gateway);
  const failed = await inState(gateway, id, 'failed');
  assert.deepEqual(failed.failure, {
    code: 'import.failed',
    message: 'The server answered 404. Check that the URL opens in a browser, then try again.',
  });
  assert.equal(failed.mail, 'due');
  await eventually('its message', async () => (await gateway.broker.depth(FAILED_QUEUE)).waiting === 1);
  assert.equal(await countFiles(gateway.videos), 0);
});

void test('a body that breaks off or is too large fails the fetch and keeps nothing', async (t) => {
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('the beginning');
    await Promise.resolve();
    throw new AudiowaveError('import.timed-out');
  }
  const bodies: [AsyncIterable<Uint8Array>, string][] = [
    [breaking(), 'import.timed-out'],
    [streamed([Buffer.alloc(1000), Buffer.alloc(1001)]), 'import.too-large'],
  ];
  for (const [body, code] of bodies) {
    const fetchVideo: FetchVideo = () => Promise.resolve({ body, name: null });
    const gateway = await openGateway(t, { maxUploadBytes: 2000 }, { fetchVideo });
    const failed = await inState(gateway, await begin(gateway), 'failed');
    assert.equal(failed.failure?.code, code);
    assert.equal(await countFiles(gateway.videos), 0);
  }
});

void test('its owner cancels a fetch, and it stops at once', async (t) => {
  const gateway = await openGateway(t, {}, { fetchVideo: endless });
  const id = await begin(gateway);
  const answer = await fetch(`${gateway.url}/api/v1/conversions/${id}`, {
    method: 'DELETE',
    headers: bearer('ann'),
  });
  assert.equal(answer.status, 204);
  await inState(gateway, id, 'cancelled');
  await eventually('the fetch has stopped', () =>
    gateway.log.entries.some(({ message }) => message === 'video not fetched'),
  );
  assert.equal((await gateway.conversions.find(id))?.state, 'cancelled');
  assert.equal(await countFiles(gateway.videos), 0);
});

void test('only some fetches run at a time; the others wait and come after', async (t) => {
  let running = 0;
  let most = 0;
  const gate = Promise.withResolvers<undefined>();
  const fetchVideo: FetchVideo = async () => {
    running += 1;
    most = Math.max(most, running);
    await gate.promise;
    running -= 1;
    return { body: streamed([Buffer.from('v')]), name: null };
  };
  const gateway = await openGateway(t, {}, { fetchVideo });
  const ids = await Promise.all(Array.from({ length: 20 }, () => begin(gateway)));
  await eventually('eight run', () => running === 8);
  gate.resolve(undefined);
  for (const id of ids) await inState(gateway, id, 'queued');
  assert.equal(most, 8);
});
