import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import { hashDownloadToken } from '../../../src/domain/download-token.ts';
import type { FileId } from '../../../src/domain/ids.ts';
import type { ReadOptions } from '../../../src/ports/file-store.ts';
import { patternBytes } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { expectText } from './answers.ts';
import { bearer, openGateway, readyConversion, type Fixture } from './gateway-fixture.ts';
import { RawClient } from './raw-client.ts';

const SOUND = '0123456789';

interface Opened {
  readonly gateway: Fixture;
  readonly get: (headers?: Record<string, string>, method?: string) => Promise<Response>;
  readonly etag: string;
}

async function openWithMp3(t: Parameters<typeof openGateway>[0], name?: string): Promise<Opened> {
  const gateway = await openGateway(t);
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', SOUND, name);
  const get: Opened['get'] = (headers = {}, method = 'GET') =>
    fetch(`${gateway.url}/download?fid=${mp3Fid}`, { method, headers: { ...bearer('ann'), ...headers } });
  return { gateway, get, etag: `"${mp3Fid}-10"` };
}

void test('a range is answered with 206 and just its bytes', async (t) => {
  const { get } = await openWithMp3(t);
  const ranges: [asked: string, contentRange: string, bytes: string][] = [
    ['bytes=0-0', 'bytes 0-0/10', '0'],
    ['bytes=2-5', 'bytes 2-5/10', '2345'],
    ['bytes=7-', 'bytes 7-9/10', '789'],
    ['bytes=-3', 'bytes 7-9/10', '789'],
    ['bytes=-99', 'bytes 0-9/10', SOUND],
    ['bytes=5-99', 'bytes 5-9/10', '56789'],
  ];
  for (const [range, contentRange, bytes] of ranges) {
    const answer = await get({ range });
    assert.deepEqual([answer.status, answer.headers.get('content-range')], [206, contentRange], range);
    assert.equal(answer.headers.get('content-length'), String(bytes.length));
    assert.equal(await answer.text(), bytes, range);
  }
});

void test('a range behind the end is 416 with the size', async (t) => {
  const { get } = await openWithMp3(t);
  for (const range of ['bytes=10-', 'bytes=10-20', 'bytes=-0']) {
    const answer = await get({ range });
    assert.equal(answer.headers.get('content-range'), 'bytes */10');
    assert.equal(answer.headers.get('etag'), null);
    await expectText(answer, 416, 'range not satisfiable');
  }
});

void test('several ranges, other units and malformed ranges get the whole file', async (t) => {
  const { get } = await openWithMp3(t);
  for (const range of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=5-2', 'bytes=-', 'bytes=a-b', 'bytes']) {
    const answer = await get({ range });
    assert.deepEqual([answer.status, await answer.text()], [200, SOUND], range);
  }
});

void test('a copy that is still good is 304, by ETag or by date', async (t) => {
  const { get, etag } = await openWithMp3(t);
  const modified = (await get()).headers.get('last-modified') ?? '';
  for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await get({ 'if-none-match': tag });
    assert.deepEqual([answer.status, await answer.text(), answer.headers.get('etag')], [304, '', etag], tag);
  }
  assert.equal((await get({ 'if-modified-since': modified })).status, 304);
  assert.equal((await get({ 'if-none-match': '"other"', 'if-modified-since': modified })).status, 200);
  assert.equal((await get({ 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status, 200);
});

void test('a range under If-Range is sent only where the copy is of this version', async (t) => {
  const { get, etag } = await openWithMp3(t);
  const modified = (await get()).headers.get('last-modified') ?? '';
  const range = 'bytes=0-1';
  assert.equal((await get({ range, 'if-range': etag })).status, 206);
  assert.equal((await get({ range, 'if-range': modified })).status, 206);
  for (const other of ['"other"', `W/${etag}`, 'Thu, 01 Jan 1970 00:00:00 GMT', 'nonsense']) {
    assert.equal((await get({ range, 'if-range': other })).status, 200, other);
  }
});

void test('HEAD tells what GET would send, without reading the file', async (t) => {
  class UnreadableStore extends MemoryFileStore {
    // eslint-disable-next-line require-yield -- it never comes so far
    override async *read(): AsyncGenerator<Uint8Array, void, undefined> {
      throw new Error(await Promise.resolve('HEAD must not read'));
    }
  }
  const mp3s = new UnreadableStore();
  const gateway = await openGateway(t, {}, { mp3s });
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', SOUND);
  const url = `${gateway.url}/download?fid=${mp3Fid}`;
  const answer = await fetch(url, { method: 'HEAD', headers: { ...bearer('ann'), range: 'bytes=0-1' } });
  assert.deepEqual([answer.status, answer.headers.get('content-length')], [200, '10']);
  await expectText(await fetch(url, { headers: bearer('ann') }), 500, 'internal server error');
});

void test('no name of a video can break the headers of its download', async (t) => {
  const names: [name: string, header: string][] = [
    ['talk.mp4', 'attachment; filename=talk.mp3'],
    ['my talk.final.mkv', 'attachment; filename="my talk.final.mp3"'],
    ['a"b\\c.mp4', 'attachment; filename="a\\"b\\\\c.mp3"'],
    ['x\r\nSet-Cookie: a=b\r\n\r\n.mp4', 'attachment; filename="x??Set-Cookie: a=b.mp3"'],
    ['naïve €.mp4', 'attachment; filename="na?ve ?.mp3"; filename*=UTF-8\'\'na%C3%AFve%20%E2%82%AC.mp3'],
    ['noextension', 'attachment; filename=noextension.mp3'],
  ];
  for (const [name, header] of names) {
    const { get } = await openWithMp3(t, name);
    const answer = await get();
    assert.equal(answer.headers.get('set-cookie'), null);
    const [plain = ''] = (answer.headers.get('content-disposition') ?? '').split("; filename*=UTF-8''x");
    assert.equal(plain, header);
    assert.equal(await answer.text(), SOUND);
  }
});

void test('a big MP3 comes byte for byte, whole and in ranges', async (t) => {
  const gateway = await openGateway(t);
  const bytes = patternBytes(5_000_003);
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', bytes);
  const url = `${gateway.url}/download?fid=${mp3Fid}`;
  const whole = Buffer.from(await (await fetch(url, { headers: bearer('ann') })).arrayBuffer());
  assert.equal(sha256(whole), sha256(bytes));
  const range = { ...bearer('ann'), range: 'bytes=1000000-4000000' };
  const part = Buffer.from(await (await fetch(url, { headers: range })).arrayBuffer());
  assert.equal(sha256(part), sha256(bytes.subarray(1_000_000, 4_000_001)));
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

void test('reading stops when the client leaves', async (t) => {
  class EndlessStore extends MemoryFileStore {
    isStopped = false;

    override async *read(
      _id: FileId,
      { signal }: ReadOptions = {},
    ): AsyncGenerator<Uint8Array, void, undefined> {
      signal?.addEventListener('abort', () => {
        this.isStopped = true;
      });
      for (;;) yield await Promise.resolve(Buffer.alloc(100_000));
    }
  }
  const mp3s = new EndlessStore();
  const gateway = await openGateway(t, {}, { mp3s });
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', Buffer.alloc(1000));
  const client = new RawClient(gateway.port);
  await client.send(`GET /download?fid=${mp3Fid} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann\r\n\r\n`);
  await eventually('the first bytes', () => client.received.length > 100);
  client.hangUp();
  await eventually('the reading has stopped', () => mp3s.isStopped);
});

void test('a one-click link downloads without a login until it expires, and never shows up in the log', async (t) => {
  const gateway = await openGateway(t, { publicUrl: 'https://mp3.example.com' });
  const { id, mp3Fid } = await readyConversion(gateway, 'ann@example.com', SOUND);
  const made = await fetch(`${gateway.url}/api/v1/conversions/${id}/links`, {
    method: 'POST',
    headers: bearer('ann'),
  });
  assert.equal(made.status, 201);
  const { url, expiresAt } = (await made.json()) as { url: string; expiresAt: string };
  const token = /^https:\/\/mp3\.example\.com\/d\/([\w-]{43})$/.exec(url)?.[1] ?? '';
  assert.ok(Date.parse(expiresAt) > Date.now());

  const link = `${gateway.url}/d/${token}`;
  const answer = await fetch(link);
  assert.equal(answer.headers.get('content-disposition'), 'attachment; filename=talk.mp3');
  assert.equal(answer.headers.get('etag'), `"${mp3Fid}-10"`);
  assert.equal(await answer.text(), SOUND);
  assert.match((await fetch(`${link}?inline`)).headers.get('content-disposition') ?? '', /^inline; /);
  assert.equal((await fetch(link, { headers: { range: 'bytes=0-1' } })).status, 206);
  assert.equal((await fetch(link, { method: 'HEAD' })).headers.get('content-length'), '10');
  await expectText(await fetch(`${link}x`), 404, 'not found');

  const { conversions } = gateway;
  await conversions.update(id, (c) => ({
    ...c,
    links: c.links.map((entry) => ({ ...entry, expiresAt: Date.now() - 1 })),
  }));
  await expectText(await fetch(link), 404, 'not found');

  await eventually(
    'six lines',
    () => gateway.log.entries.filter(({ fields }) => fields.route === '/d/:token').length === 6,
  );
  const log = JSON.stringify(gateway.log.entries);
  assert.ok(!log.includes(token) && !log.includes(hashDownloadToken(token)));
});

void test('a client that goes before the first byte leaves no file open', async (t) => {
  const asked = Promise.withResolvers<undefined>();
  const gone = Promise.withResolvers<undefined>();
  let isOpen = false;
  /** Slow to begin, as a cold disk. */
  class SlowStore extends MemoryFileStore {
    override async *read(id: FileId, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
      isOpen = true;
      try {
        asked.resolve(undefined);
        await gone.promise;
        yield* super.read(id, { ...options, signal: new AbortController().signal });
      } finally {
        isOpen = false;
      }
    }
  }
  const gateway = await openGateway(t, {}, { mp3s: new SlowStore() });
  const { mp3Fid } = await readyConversion(gateway, 'ann@example.com', SOUND);
  const leaving = new AbortController();
  const answer = fetch(`${gateway.url}/download?fid=${mp3Fid}`, {
    headers: bearer('ann'),
    signal: leaving.signal,
  });
  await asked.promise;
  leaving.abort();
  await assert.rejects(answer);
  const line = await eventually('the request is over', () =>
    gateway.log.entries.find(({ fields }) => fields.hungUp === true),
  );
  assert.equal(line.fields.status, null);
  gone.resolve(undefined);
  await eventually('the file is closed', () => !isOpen);
});
