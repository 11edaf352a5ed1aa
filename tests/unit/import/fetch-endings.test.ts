import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { failsWith, fetchAll, fetcher, MB } from '../../support/fetching.ts';
import { serveRaw, serveVideo } from '../../support/video-server.ts';

async function stalled(t: TestContext, begin: string): Promise<string> {
  return (await serveRaw(t, (socket) => socket.write(begin))).url;
}

for (const [what, begin] of [
  ['before its answer', ''],
  ['in its head', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n'],
  ['in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxx'],
  ['in a redirect', 'HTTP/1.1 302 Found\r\nLoc'],
] as const) {
  test(`a server that falls silent ${what} is given up`, async (t) => {
    const fetchVideo = fetcher({ idleMs: 100, connectTimeoutMs: 1000 });
    await assert.rejects(
      fetchAll(fetchVideo, await stalled(t, begin)),
      failsWith('import.timed-out', /silent/),
    );
  });
}

test('a server that drips is given up when the whole takes too long', async (t) => {
  const server = await serveVideo(t, (_request, response) => {
    response.writeHead(200, { 'content-length': 1_000_000 });
    const drip = setInterval(() => response.write('x'), 20);
    response.once('close', () => {
      clearInterval(drip);
    });
  });
  const fetchVideo = fetcher({ idleMs: 5000, timeoutMs: 400 });
  await assert.rejects(fetchAll(fetchVideo, server.url), failsWith('import.timed-out', /too long/));
  await eventually('the connection closed', () => server.openConnections() === 0);
});

test('a name server that does not answer is given up', async () => {
  const lookup = (): Promise<never> => new Promise(() => undefined);
  const fetchVideo = fetcher({ lookup, connectTimeoutMs: 100 });
  await assert.rejects(fetchAll(fetchVideo, 'http://slow.example/'), failsWith('import.timed-out'));
});

test('a slow reader is not taken for a silent server', async (t) => {
  const server = await serveVideo(t, (_request, response) => response.end(Buffer.alloc(4 * MB)));
  const { body } = await fetcher({ idleMs: 1000 })(new URL(server.url), {
    maxBytes: 5 * MB,
    signal: new AbortController().signal,
  });
  let received = 0;
  let pauses = 0;
  for await (const chunk of body) {
    received += chunk.byteLength;
    // The pause itself is what is tested: it is longer than the server may be silent.
    if (pauses++ === 0) await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  assert.equal(received, 4 * MB);
});

test('a caller who gives up gets its own reason, at every step, and the connection is closed', async (t) => {
  const server = await serveVideo(t, (request, response) => {
    if (request.url === '/body') response.writeHead(200, { 'content-length': 100 }).write('x');
  });
  const reason = new AudiowaveError('audio.cancelled');
  const isReason = (error: unknown): boolean => error === reason;

  await assert.rejects(fetchAll(fetcher(), server.url, { signal: AbortSignal.abort(reason) }), isReason);
  assert.equal(server.requests.length, 0);

  const beforeAnswer = new AbortController();
  const waiting = fetchAll(fetcher(), `${server.url}/head`, { signal: beforeAnswer.signal });
  await eventually('the request has come', () => server.requests.length === 1);
  beforeAnswer.abort(reason);
  await assert.rejects(waiting, isReason);

  const inBody = new AbortController();
  const { body } = await fetcher()(new URL(`${server.url}/body`), { maxBytes: MB, signal: inBody.signal });
  const iterator = body[Symbol.asyncIterator]();
  await iterator.next();
  const next = iterator.next();
  inBody.abort(reason);
  await assert.rejects(next, isReason);
  await assert.rejects(iterator.next(), isReason);

  const unread = new AbortController();
  await fetcher()(new URL(`${server.url}/body`), { maxBytes: MB, signal: unread.signal });
  unread.abort(reason);
  await eventually('all connections closed', () => server.openConnections() === 0);
});

test('a reader who leaves early, or before the first byte, closes the connection', async (t) => {
  const server = await serveVideo(t, (_request, response) => {
    response.writeHead(200, { 'content-length': 100_000_000 }).write(Buffer.alloc(MB));
  });
  const options = { maxBytes: 100_000_000, signal: new AbortController().signal };
  const { body } = await fetcher()(new URL(server.url), options);
  for await (const _chunk of body) break;
  await eventually('the connection closed', () => server.openConnections() === 0);
  const unread = await fetcher()(new URL(server.url), options);
  await unread.body[Symbol.asyncIterator]().return?.();
  await eventually('the connection closed', () => server.openConnections() === 0);
});

test('memory does not grow with the video: the server waits for a slow reader', async (t) => {
  let sent = 0;
  const server = await serveVideo(t, (_request, response) => {
    response.writeHead(200, { 'content-length': 500 * MB });
    const more = (): void => {
      do sent += 64 * 1024;
      while (sent < 500 * MB && response.write(Buffer.alloc(64 * 1024)));
      response.once('drain', more);
    };
    more();
  });
  const { body } = await fetcher()(new URL(server.url), {
    maxBytes: 500 * MB,
    signal: new AbortController().signal,
  });
  const iterator = body[Symbol.asyncIterator]();
  await iterator.next();
  let before = -1;
  await eventually('the server stands still', async () => {
    const isStill = sent === before;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return isStill;
  });
  assert.ok(sent < 50 * MB, `${String(sent)} bytes were taken for one that was read`);
  await iterator.return?.();
});
