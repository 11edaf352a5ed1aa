import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { collect } from '../../support/bytes.ts';
import {
  bearer,
  countFiles,
  fileForm,
  messagesOf,
  openGateway,
  readFile,
  readyConversion,
  storeFile,
  type Fixture,
} from './gateway-fixture.ts';

import { expectText } from './answers.ts';

function upload(
  gateway: Fixture,
  headers: Record<string, string>,
  body: FormData | string = fileForm(),
): Promise<Response> {
  return fetch(`${gateway.url}/upload`, { method: 'POST', headers, body });
}

function download(
  gateway: Fixture,
  query: string,
  headers: Record<string, string> = bearer('ann'),
): Promise<Response> {
  return fetch(`${gateway.url}/download${query}`, { headers });
}

void test('an upload under any field name is 200 success! and one whole queued conversion', async (t) => {
  const gateway = await openGateway(t);
  for (const field of ['file', 'video', 'anything']) {
    const form = new FormData();
    form.append('note', 'ignored');
    form.append(field, new Blob(['the bytes']), 'talk.mp4');
    const answer = await upload(gateway, bearer('ann'), form);
    const id = answer.headers.get('x-conversion-id') ?? '';
    assert.equal(answer.headers.get('location'), `/api/v1/conversions/${id}`);
    await expectText(answer, 200, 'success!');
    const found = await onlyConversion(gateway, id);
    assert.deepEqual(
      [found.state, found.name, found.videoBytes, found.lease],
      ['queued', 'talk.mp4', 9, null],
    );
    assert.deepEqual(found.unpublished, []);
    assert.equal(String(await readFile(gateway.videos, found.id)), 'the bytes');
  }
  const messages = await messagesOf(gateway.broker, 'video');
  assert.equal(messages.length, 3);
  assert.deepEqual(Object.keys(messages[0] ?? {}), ['video_fid', 'mp3_fid', 'username']);
  assert.equal(messages[0]?.username, 'ann@example.com');
});

async function onlyConversion(gateway: Fixture, id: string): Promise<Conversion> {
  const { conversions } = await gateway.conversions.list('ann@example.com', { limit: 100 });
  const found = conversions.find((conversion) => conversion.id === id);
  assert.ok(found !== undefined, `no conversion ${id}`);
  return found;
}

interface Refusal {
  readonly headers: Record<string, string>;
  readonly status: number;
  readonly body: string;
}

const TOKEN_CASES: Readonly<Record<string, Refusal>> = {
  'no Authorization header': { headers: {}, status: 401, body: 'missing credentials' },
  'an empty Authorization header': {
    headers: { authorization: '' },
    status: 401,
    body: 'missing credentials',
  },
  'a bad token': { headers: bearer('forged'), status: 403, body: 'not authorized' },
  'a token without the admin claim': { headers: bearer('powerless'), status: 401, body: 'not authorized' },
};

for (const [name, { headers, status, body }] of Object.entries(TOKEN_CASES)) {
  void test(`upload and download with ${name}: ${String(status)} ${body}`, async (t) => {
    const gateway = await openGateway(t);
    await expectText(await upload(gateway, headers), status, body);
    await expectText(await download(gateway, '', headers), status, body);
    await expectNothing(gateway);
  });
}

async function expectNothing(gateway: Fixture, owner = 'ann@example.com'): Promise<void> {
  assert.equal(await countFiles(gateway.videos), 0);
  assert.deepEqual((await gateway.conversions.list(owner, { limit: 10 })).conversions, []);
  assert.equal((await gateway.broker.depth('video')).waiting, 0);
}

void test('no file part, two file parts and raw bodies are 400 exactly 1 file required', async (t) => {
  const gateway = await openGateway(t);
  const none = new FormData();
  none.append('file', 'a field, no file');
  const two = fileForm();
  two.append('other', new Blob(['2']), 'b.mp4');
  const sameName = fileForm();
  sameName.append('file', new Blob(['2']), 'b.mp4');
  const rawTypes = [
    'video/mp4',
    'text/plain',
    'application/octet-stream',
    'multipart/form-data',
    'nonsense',
    'a/b;;=',
  ];
  for (const form of [none, two, sameName]) {
    await expectText(await upload(gateway, bearer('ann'), form), 400, 'exactly 1 file required');
  }
  for (const type of rawTypes) {
    const headers = { ...bearer('ann'), 'content-type': type };
    await expectText(await upload(gateway, headers, 'raw'), 400, 'exactly 1 file required');
  }
  const empty = await fetch(`${gateway.url}/upload`, { method: 'POST', headers: bearer('ann') });
  await expectText(empty, 400, 'exactly 1 file required');
  await expectNothing(gateway);
});

void test('with the records away an upload is 500 internal server error and keeps nothing', async (t) => {
  const gateway = await openGateway(t);
  await gateway.conversions.close();
  await expectText(await upload(gateway, bearer('ann')), 500, 'internal server error');
  assert.equal(await countFiles(gateway.videos), 0);
});

void test('with only the broker away an upload is 200 success! and its message is owed', async (t) => {
  const gateway = await openGateway(t);
  await gateway.broker.close();
  await expectText(await upload(gateway, bearer('ann')), 200, 'success!');
  const [found] = (await gateway.conversions.list('ann@example.com', { limit: 1 })).conversions;
  assert.equal(found?.state, 'queued');
  assert.deepEqual(
    found.unpublished.map(({ announcement }) => announcement),
    ['video'],
  );
});

void test('a JSON upload without a usable URL is 400, with too much is 413, and its token comes first', async (t) => {
  const gateway = await openGateway(t);
  const json = { 'content-type': 'application/json' };
  const send = (body: string, headers: Record<string, string> = bearer('ann')): Promise<Response> =>
    upload(gateway, { ...json, ...headers }, body);
  await expectText(await send('{}'), 400, 'url is required');
  await expectText(await send('{"url":""}'), 400, 'url is required');
  await expectText(await send('no json'), 400, 'url is required');
  await expectText(await send('[]'), 400, 'url is required');
  await expectText(await send('{"url":"ftp://example.com/v.mp4"}'), 400, 'url not allowed');
  await expectText(await send('{"url":"file:///etc/passwd"}'), 400, 'url not allowed');
  await expectText(await send(JSON.stringify({ url: 'x'.repeat(17_000) })), 413, 'request too large');
  await expectText(await send('{}', {}), 401, 'missing credentials');
  await expectText(await send('no json', {}), 401, 'missing credentials');
  await expectText(await send('{"access_token":"forged"}', {}), 403, 'not authorized');
  await expectText(await send('{"access_token":"powerless"}', {}), 401, 'not authorized');
  await expectText(await send('{"access_token":"ann"}', bearer('forged')), 403, 'not authorized');
  await expectNothing(gateway);
});

void test('a JSON upload with its token in the body is 200 success!', async (t) => {
  const gateway = await openGateway(t);
  const body = JSON.stringify({ url: 'https://videos.example.com/talk.mp4', access_token: 'bob' });
  const answer = await upload(gateway, { 'content-type': 'application/json; charset=utf-8' }, body);
  await expectText(answer, 200, 'success!');
  const [found] = (await gateway.conversions.list('bob@example.com', { limit: 1 })).conversions;
  assert.deepEqual(found?.source, { kind: 'url', url: 'https://videos.example.com/talk.mp4' });
});

void test('a download is the MP3 with its type, name, length and ETag', async (t) => {
  const gateway = await openGateway(t);
  const { mp3Fid } = await readyConversion(gateway, 'Ann@Example.com', 'sound');
  const answer = await download(gateway, `?fid=${mp3Fid.toUpperCase()}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'audio/mpeg');
  assert.equal(answer.headers.get('content-disposition'), 'attachment; filename=talk.mp3');
  assert.equal(answer.headers.get('content-length'), '5');
  assert.equal(answer.headers.get('etag'), `"${mp3Fid}-5"`);
  assert.equal(answer.headers.get('accept-ranges'), 'bytes');
  assert.equal(await answer.text(), 'sound');
});

void test('a download without a known name is called after its fid', async (t) => {
  const gateway = await openGateway(t);
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', 'sound', null);
  const answer = await download(gateway, `?fid=${mp3Fid}`);
  assert.equal(answer.headers.get('content-disposition'), `attachment; filename=${mp3Fid}.mp3`);
});

void test('a download without fid is 400 fid is required', async (t) => {
  const gateway = await openGateway(t);
  await expectText(await download(gateway, ''), 400, 'fid is required');
  await expectText(await download(gateway, '?fid='), 400, 'fid is required');
});

void test("an unknown fid, a malformed one and somebody else's are 404 not found", async (t) => {
  const gateway = await openGateway(t);
  const { mp3Fid } = await readyConversion(gateway, 'bob@example.com');
  for (const fid of [mintFileId(), 'nonsense', '../../etc/passwd', '%00', 'z'.repeat(24), mp3Fid]) {
    await expectText(await download(gateway, `?fid=${fid}`), 404, 'not found');
  }
  const admin = await download(gateway, `?fid=${mp3Fid}`, bearer('root'));
  await expectText(admin, 404, 'not found');
});

void test('an MP3 without a record is for administrators, and for everybody with LEGACY_DOWNLOADS=open', async (t) => {
  const closed = await openGateway(t);
  const fid = mintFileId();
  await storeFile(closed.mp3s, fid, 'old sound');
  await expectText(await download(closed, `?fid=${fid}`), 404, 'not found');
  const admin = await download(closed, `?fid=${fid}`, bearer('root'));
  assert.equal(await admin.text(), 'old sound');
  const open = await openGateway(t, { legacyDownloads: 'open' }, { mp3s: closed.mp3s });
  const anybody = await download(open, `?fid=${fid}`);
  assert.equal(await anybody.text(), 'old sound');
});

void test('other paths are 404, wrong methods 405 with Allow', async (t) => {
  const gateway = await openGateway(t);
  for (const path of ['/', '/nothing', '/upload/', '/login/x', '/api', '/%zz', `/d/${'x'.repeat(300)}`]) {
    const answer = await fetch(gateway.url + path);
    assert.equal(answer.status, 404, path);
    if (!path.startsWith('/api')) assert.equal(await answer.text(), 'not found', path);
    else await answer.arrayBuffer();
  }
  await expectAllow(gateway, 'GET', '/login', 'POST');
  await expectAllow(gateway, 'DELETE', '/upload', 'POST');
  await expectAllow(gateway, 'OPTIONS', '/upload', 'POST');
  await expectAllow(gateway, 'POST', '/download', 'GET, HEAD');
  await expectAllow(gateway, 'PROPFIND', '/download', 'GET, HEAD');
});

async function expectAllow(gateway: Fixture, method: string, path: string, allow: string): Promise<void> {
  const answer = await fetch(gateway.url + path, { method, headers: bearer('ann') });
  assert.equal(answer.headers.get('allow'), allow);
  await expectText(answer, 405, 'method not allowed');
}

void test('HEAD is GET without the body', async (t) => {
  const gateway = await openGateway(t);
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', 'sound');
  const answer = await fetch(`${gateway.url}/download?fid=${mp3Fid}`, {
    method: 'HEAD',
    headers: bearer('ann'),
  });
  assert.deepEqual(
    [answer.status, answer.headers.get('content-length'), await answer.text()],
    [200, '5', ''],
  );
  assert.equal(answer.headers.get('content-type'), 'audio/mpeg');
  const post = await fetch(`${gateway.url}/upload`, { method: 'HEAD' });
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'POST']);
});

void test('what is no HTTP is answered 400, and the gateway lives on', async (t) => {
  const gateway = await openGateway(t);
  const socket = connect(gateway.port, '127.0.0.1');
  socket.end('NONSENSE\r\n\r\n');
  const answer = String(await collect(socket));
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n[^]*\r\n\r\nbad request$/);
  await expectText(await download(gateway, ''), 400, 'fid is required');
});
