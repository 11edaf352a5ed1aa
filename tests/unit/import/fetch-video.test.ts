import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { failsWith, fetchAll, fetcher, MB } from '../../support/fetching.ts';
import { serveVideo } from '../../support/video-server.ts';

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
