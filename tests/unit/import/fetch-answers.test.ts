import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { failsWith, fetchAll, fetcher, MB } from '../../support/fetching.ts';
import { serveRaw, serveVideo } from '../../support/video-server.ts';

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
