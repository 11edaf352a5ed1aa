import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { AudiowaveError, hasCode, type ErrorCode } from '../../../src/domain/errors.ts';
import {
  createFetchVideo,
  type FetchVideo,
  type FetchVideoOptions,
} from '../../../src/services/gateway/import/fetch-video.ts';
import { eventually } from '../../support/eventually.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { serveRaw, serveVideo } from '../../support/video-server.ts';

const MB = 1024 * 1024;

function fetcher(options: Partial<FetchVideoOptions> = {}): FetchVideo {
  return createFetchVideo({ allow: ['127.0.0.1'], timeoutMs: 20_000, log: recordedLog(), ...options });
}

/** Fetches all, as the gateway does. */
async function fetchAll(
  fetchVideo: FetchVideo,
  url: string,
  options: { maxBytes?: number; signal?: AbortSignal } = {},
): Promise<{ bytes: Buffer; name: string | null }> {
  const { maxBytes = 100 * MB, signal = new AbortController().signal } = options;
  const { body, name } = await fetchVideo(new URL(url), { maxBytes, signal });
  return { bytes: await buffer(body), name };
}

const failsWith = (code: ErrorCode, message?: RegExp) => (error: unknown) => {
  assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
  if (message !== undefined) assert.match(error.message, message);
  assert.doesNotMatch(error.message, /\d+\.\d+\.\d+\.\d+|::/, 'no address in a sentence for people');
  return true;
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('a video with a length comes whole, with its name, and nothing is left open', async (t) => {
  const video = randomBytes(5 * MB + 1);
  const server = await serveVideo(t, (_request, response) => response.end(video));
  const { signal } = new AbortController();
  const { bytes, name } = await fetchAll(fetcher(), `${server.url}/a/talk.mp4?x=%20y#z`, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  assert.equal(sha256(bytes), sha256(video));
  assert.equal(name, 'talk.mp4');
  assert.equal(server.requests[0]?.path, '/a/talk.mp4?x=%20y');
  await eventually('all connections closed', () => server.openConnections() === 0);
});

test('a video in chunks comes whole, and so does an empty one', async (t) => {
  const video = randomBytes(3 * MB);
  const server = await serveVideo(t, (request, response) => {
    if (request.url === '/empty') return void response.writeHead(200, { 'content-length': 0 }).end();
    for (let at = 0; at < video.length; at += 100_000) response.write(video.subarray(at, at + 100_000));
    response.end();
  });
  assert.equal(sha256((await fetchAll(fetcher(), `${server.url}/x`)).bytes), sha256(video));
  assert.equal((await fetchAll(fetcher(), `${server.url}/empty`)).bytes.length, 0);
});

test('the request asks for plain bytes and tells nothing of this machine', async (t) => {
  const server = await serveVideo(t, (_request, response) => response.end('x'));
  process.env.http_proxy = process.env.HTTP_PROXY = 'http://127.0.0.1:1';
  t.after(() => {
    delete process.env.http_proxy;
    delete process.env.HTTP_PROXY;
  });
  await fetchAll(fetcher(), `${server.url}/x`);
  const { headers } = server.requests[0] ?? assert.fail();
  assert.equal(headers['accept-encoding'], 'identity');
  assert.deepEqual(Object.keys(headers).sort(), [
    'accept',
    'accept-encoding',
    'connection',
    'host',
    'user-agent',
  ]);
});

test('the name server is asked once per connection, and its second answer plays no part', async (t) => {
  const server = await serveVideo(t, (request, response) => {
    if (request.url === '/video') response.end('whole');
    else response.writeHead(302, { location: '/video' }).end();
  });
  let asked = 0;
  const rebinding = (): Promise<{ address: string; family: number }[]> =>
    Promise.resolve([{ address: ++asked === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }]);
  const evil = `http://rebind.example:${String(server.port)}`;
  const first = await fetchAll(fetcher({ lookup: rebinding }), `${evil}/video`);
  assert.equal(first.bytes.toString(), 'whole');
  assert.equal(asked, 1);
  assert.equal(server.requests[0]?.headers.host, `rebind.example:${String(server.port)}`);

  asked = 0;
  await assert.rejects(
    fetchAll(fetcher({ lookup: rebinding }), `${evil}/redirect`),
    failsWith('import.url-not-allowed'),
  );
  assert.equal(asked, 2, 'the redirect opens a new connection, with a check of its own');
  assert.equal(server.requests.length, 2);
});

test('nothing is sent to an address that is not allowed', async (t) => {
  const server = await serveVideo(t, (_request, response) => response.end('secret'));
  const lookup = (): Promise<{ address: string; family: number }[]> =>
    Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
  const fetchVideo = fetcher({ allow: [], lookup });
  for (const host of ['127.0.0.1', 'localhost', 'intern.example', '2130706433', '[::ffff:127.0.0.1]']) {
    await assert.rejects(
      fetchAll(fetchVideo, `http://${host}:${String(server.port)}/`),
      failsWith('import.url-not-allowed'),
    );
  }
  assert.equal(server.requests.length, 0);
  assert.equal(server.openConnections(), 0);
});

test('a redirect is followed, and the name is that of its target', async (t) => {
  const server = await serveVideo(t, (request, response) => {
    const steps: Record<string, string> = {
      '/1': '/2',
      '/2': '3?a',
      '/3?a': '/4',
      '/4': '/5',
      '/5': '/talk.mp4#x',
    };
    const location = steps[request.url ?? ''];
    if (location === undefined) return void response.end('video');
    response.writeHead(request.url === '/1' ? 308 : 302, { location }).end('<html>moved</html>');
  });
  const { bytes, name } = await fetchAll(fetcher(), `${server.url}/1`);
  assert.equal(bytes.toString(), 'video');
  assert.equal(name, 'talk.mp4');
  assert.equal(server.requests.length, 6, 'five redirects are allowed');
  await eventually('all connections closed', () => server.openConnections() === 0);
});

test('a redirect that leads in a circle ends after five', async (t) => {
  const server = await serveVideo(t, (_request, response) =>
    response.writeHead(302, { location: '/' }).end(),
  );
  await assert.rejects(fetchAll(fetcher(), server.url), failsWith('import.failed', /redirects too often/));
  assert.equal(server.requests.length, 6);
});

for (const [location, code] of [
  ['http://10.0.0.1/', 'import.url-not-allowed'],
  ['http://169.254.169.254/latest/meta-data/', 'import.url-not-allowed'],
  ['http://[::1]/', 'import.url-not-allowed'],
  ['http://localhost/', 'import.url-not-allowed'],
  ['//0x7f000002/', 'import.url-not-allowed'],
  ['file:///etc/passwd', 'import.url-not-allowed'],
  ['ftp://example.com/x', 'import.url-not-allowed'],
  ['data:video/mp4,x', 'import.url-not-allowed'],
  ['http://user:secret@127.0.0.1/', 'import.url-not-allowed'],
  ['http://exa mple/', 'import.failed'],
  [undefined, 'import.failed'],
] as const) {
  test(`a redirect to ${String(location)} is not followed`, async (t) => {
    const server = await serveVideo(t, (_request, response) => {
      response.writeHead(302, location === undefined ? {} : { location }).end();
    });
    await assert.rejects(fetchAll(fetcher(), server.url), failsWith(code));
    assert.equal(server.requests.length, 1);
  });
}

test('a video that says it is too large is refused before its body', async (t) => {
  const server = await serveVideo(t, (_request, response) => {
    response.writeHead(200, { 'content-length': 1001 }).flushHeaders();
  });
  await assert.rejects(fetchAll(fetcher(), server.url, { maxBytes: 1000 }), failsWith('import.too-large'));
  await eventually('the connection closed', () => server.openConnections() === 0);
});

test('a video that does not say its size is cut off when it grows too large', async (t) => {
  const server = await serveVideo(t, (_request, response) => {
    const more = (): void => {
      while (response.write(Buffer.alloc(64 * 1024)));
      response.once('drain', more);
    };
    more();
  });
  await assert.rejects(fetchAll(fetcher(), server.url, { maxBytes: MB }), failsWith('import.too-large'));
  await eventually('the connection closed', () => server.openConnections() === 0);
});

test('a video of exactly the limit is taken, with and without a length', async (t) => {
  const server = await serveVideo(t, (request, response) => {
    if (request.url === '/chunked') response.write(Buffer.alloc(500));
    response.end(Buffer.alloc(request.url === '/chunked' ? 500 : 1000));
  });
  for (const path of ['/length', '/chunked']) {
    assert.equal((await fetchAll(fetcher(), server.url + path, { maxBytes: 1000 })).bytes.length, 1000);
  }
});

for (const [status, sentence] of [
  [204, /status 204/],
  [206, /status 206/],
  [304, /status 304/],
  [401, /login/],
  [403, /login/],
  [404, /nothing at this URL/],
  [418, /status 418/],
  [429, /busy or broken/],
  [500, /busy or broken/],
  [503, /busy or broken/],
] as const) {
  test(`the status ${String(status)} fails with a sentence that a person understands`, async (t) => {
    const server = await serveVideo(t, (_request, response) => response.writeHead(status).end());
    await assert.rejects(fetchAll(fetcher(), server.url), failsWith('import.failed', sentence));
    await eventually('the connection closed', () => server.openConnections() === 0);
  });
}

for (const [headers, sentence] of [
  [{ 'content-type': 'text/html; charset=utf-8' }, /web page/],
  [{ 'content-type': 'Application/XHTML+xml' }, /web page/],
  [{ 'content-encoding': 'gzip' }, /packed/],
  [{ 'content-encoding': 'br, gzip' }, /packed/],
] as const) {
  test(`an answer with ${JSON.stringify(headers)} is no video`, async (t) => {
    const server = await serveVideo(t, (_request, response) => response.writeHead(200, headers).end('x'));
    await assert.rejects(fetchAll(fetcher(), server.url), failsWith('import.failed', sentence));
  });
}

const NO_END = /does not say where the video ends/;
const NO_ANSWER = /could not be reached/;
for (const [what, head, sentence] of [
  ['ends with the connection', '', NO_END],
  ['has a length that is no number', 'Content-Length: -1\r\n', NO_ANSWER],
  ['has two lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n', NO_ANSWER],
  ['has a length and chunks', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', NO_ANSWER],
  ['has a coding that nobody asked for', 'Transfer-Encoding: gzip, chunked\r\n', NO_END],
  ['has an endless head', `X: ${'x'.repeat(70_000)}\r\n`, NO_ANSWER],
] as const) {
  test(`an answer whose body ${what} is refused`, async (t) => {
    const server = await serveRaw(t, (socket) => socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n1234`));
    await assert.rejects(fetchAll(fetcher(), server.url), failsWith('import.failed', sentence));
  });
}

for (const [what, head, ending] of [
  ['with a length, closed', 'Content-Length: 1000', 'end'],
  ['with a length, reset', 'Content-Length: 1000', 'reset'],
  ['in chunks, closed', 'Transfer-Encoding: chunked', 'end'],
  ['in chunks, reset', 'Transfer-Encoding: chunked', 'reset'],
] as const) {
  test(`a body that is cut (${what}) is an error and never a short video`, async (t) => {
    const server = await serveRaw(t, (socket) => {
      const begin = head.startsWith('T') ? '64\r\n' + 'x'.repeat(100) + '\r\n' : 'x'.repeat(100);
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${begin}`, () => {
        if (ending === 'end') socket.end();
        else setImmediate(() => socket.resetAndDestroy());
      });
    });
    const { body } = await fetcher()(new URL(server.url), {
      maxBytes: MB,
      signal: new AbortController().signal,
    });
    const iterator = body[Symbol.asyncIterator]();
    const drain = async (): Promise<void> => {
      while ((await iterator.next()).done !== true);
    };
    await assert.rejects(drain(), failsWith('import.failed', /broke off/));
    await assert.rejects(drain(), failsWith('import.failed'), 'and it stays one');
  });
}

test('a server that is not there, or is no web server, fails', async (t) => {
  const gone = await serveRaw(t, (socket) => socket.destroy());
  await assert.rejects(fetchAll(fetcher(), gone.url), failsWith('import.failed', /could not be reached/));
  const other = await serveRaw(t, (socket) => socket.end('220 mail.example ESMTP\r\n'));
  await assert.rejects(fetchAll(fetcher(), other.url), failsWith('import.failed'));
  await assert.rejects(
    fetchAll(fetcher(), 'http://127.0.0.1:1/'),
    failsWith('import.failed', /could not be reached/),
  );
});

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
    const fetchVideo = fetcher({ idleMs: 100, connectTimeoutMs: 100 });
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
    response.once('close', () => clearInterval(drip));
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
  const { body } = await fetcher({ idleMs: 150 })(new URL(server.url), {
    maxBytes: 5 * MB,
    signal: new AbortController().signal,
  });
  let received = 0;
  let pauses = 0;
  for await (const chunk of body) {
    received += chunk.byteLength;
    // The pause itself is what is tested: it is longer than the server may be silent.
    if (pauses++ < 2) await new Promise((resolve) => setTimeout(resolve, 300));
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
