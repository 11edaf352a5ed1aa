import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { tempFolder } from '../../support/temp.ts';
import { bearer, countFiles, openGateway, type Fixture } from './gateway-fixture.ts';
import { curl, partHead, RawClient, requestHead } from './raw-client.ts';

const MIB = 1024 * 1024;

async function bigFile(t: TestContext, bytes: number): Promise<string> {
  const path = join(await tempFolder(t), 'video.mp4');
  await writeFile(path, '');
  await truncate(path, bytes);
  return path;
}

/** Uploads with curl; status, body, and how many bytes curl had sent. */
async function curlUpload(
  gateway: Fixture,
  path: string,
  ...more: string[]
): Promise<{ status: number; body: string; sent: number }> {
  const format = '\n%{http_code} %{size_upload}';
  const { stdout } = await curl('-F', `file=@${path}`, '-w', format, ...more, `${gateway.url}/upload`);
  const [body = '', numbers = ''] = stdout.split('\n');
  const [status, sent] = numbers.split(' ').map(Number);
  return { status: status ?? 0, body, sent: sent ?? 0 };
}

void test('a client that expects 100-continue sends no byte of a refused upload', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 20 * MIB });
  const path = await bigFile(t, 60 * MIB);
  const cases: [string[], number, string][] = [
    [[], 401, 'missing credentials'],
    [['-H', 'Authorization: Bearer forged'], 403, 'not authorized'],
    [['-H', 'Authorization: Bearer powerless'], 401, 'not authorized'],
    [['-H', 'Authorization: Bearer ann'], 413, 'file too large'],
  ];
  for (const [headers, status, body] of cases) {
    const answer = await curlUpload(gateway, path, '-H', 'Expect: 100-continue', ...headers);
    assert.deepEqual(answer, { status, body, sent: 0 });
  }
});

void test('a client that expects 100-continue is told to go on once its token is good', async (t) => {
  const gateway = await openGateway(t);
  const client = new RawClient(gateway.port);
  t.after(() => {
    client.hangUp();
  });
  const headers = { ...bearer('ann'), expect: '100-continue', connection: 'close' };
  const body = Buffer.from(partHead() + 'video\r\n--the-boundary--\r\n');
  await client.send(requestHead('/upload', body.length, headers));
  await eventually('100 Continue', () => client.received === 'HTTP/1.1 100 Continue\r\n\r\n');
  await client.send(body);
  assert.match(await client.closed(), /HTTP\/1\.1 200 OK[^]*success!$/);
});

void test('a refusal reaches a curl that is sending a big body already', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 20 * MIB });
  const path = await bigFile(t, 60 * MIB);
  for (let round = 0; round < 5; round += 1) {
    const noToken = await curlUpload(gateway, path, '-H', 'Expect:');
    assert.deepEqual([noToken.status, noToken.body], [401, 'missing credentials']);
    const forged = await curlUpload(gateway, path, '-H', 'Expect:', '-H', 'Authorization: Bearer forged');
    assert.deepEqual([forged.status, forged.body], [403, 'not authorized']);
    // Chunked, so that only the bytes themselves tell how many there are.
    const chunked = ['-H', 'Expect:', '-H', 'Transfer-Encoding: chunked', '-H', 'Authorization: Bearer ann'];
    const tooLarge = await curlUpload(gateway, path, ...chunked);
    assert.deepEqual([tooLarge.status, tooLarge.body], [413, 'file too large']);
    assert.ok(tooLarge.sent < 58 * MIB, `curl had sent ${String(tooLarge.sent)}`);
  }
  assert.equal(await countFiles(gateway.videos), 0);
});

void test("a refusal reaches Node's fetch, which sends all before it reads", async (t) => {
  const gateway = await openGateway(t);
  for (let round = 0; round < 5; round += 1) {
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array(6 * MIB)]), 'talk.mp4');
    const answer = await fetch(`${gateway.url}/upload`, {
      method: 'POST',
      body: form,
      headers: bearer('forged'),
    });
    assert.deepEqual([answer.status, await answer.text()], [403, 'not authorized']);
  }
});

void test('a refused body is drained within bounds, and the connection closed', async (t) => {
  const gateway = await openGateway(t);
  const client = new RawClient(gateway.port);
  t.after(() => {
    client.hangUp();
  });
  await client.send(requestHead('/upload', 10_000 * MIB, bearer('forged')));
  await eventually('the answer', () => client.received.endsWith('not authorized'));
  assert.match(client.received, /^HTTP\/1\.1 403 [^]*\r\nconnection: close\r\n/i);
  const chunk = Buffer.alloc(MIB);
  let sent = 0;
  // The system's socket buffers take some more than the gateway drains.
  while (!client.socket.destroyed && sent < 200) {
    await client.send(chunk).catch(() => undefined);
    sent += 1;
  }
  await client.closed();
  assert.ok(sent < 100, `${String(sent)} MiB were taken`);
});

void test('a client that goes silent after a refusal is hung up on', async (t) => {
  const gateway = await openGateway(t);
  const client = new RawClient(gateway.port);
  t.after(() => {
    client.hangUp();
  });
  await client.send(requestHead('/upload', 1000, bearer('forged')) + 'a little');
  assert.match(await client.closed(), /^HTTP\/1\.1 403 [^]*not authorized$/);
});
