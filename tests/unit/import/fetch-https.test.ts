import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { hasCode } from '../../../src/domain/errors.ts';
import { createFetchVideo } from '../../../src/services/gateway/import/fetch-video.ts';
import { listen } from '../../support/listen.ts';
import { recordedLog } from '../../support/recorded-log.ts';

const fixture = (name: string): Promise<string> =>
  readFile(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');

/** Serves https with a certificate for `video.example`, signed by itself; says which names clients asked for. */
async function serveHttps(t: TestContext): Promise<{ port: number; names: (string | false | undefined)[] }> {
  const names: (string | false | undefined)[] = [];
  const [key, cert] = await Promise.all([fixture('video.example.key'), fixture('video.example.crt')]);
  const server = createServer({ key, cert }, (_request, response) => response.end('video'));
  server.on('secureConnection', (socket) => names.push(socket.servername ?? undefined));
  const port = await listen(t, server);
  return { port, names };
}

async function fetchText(host: string, port: number): Promise<string> {
  const fetchVideo = createFetchVideo({
    allow: ['127.0.0.1'],
    timeoutMs: 10_000,
    lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
    log: recordedLog(),
  });
  const { signal } = new AbortController();
  const { body } = await fetchVideo(new URL(`https://${host}:${String(port)}/x.mp4`), {
    maxBytes: 100,
    signal,
  });
  return (await buffer(body)).toString();
}

const isCertificateError = (error: unknown): boolean =>
  hasCode(error, 'import.failed') && error.message.includes('certificate');

test('a certificate that nobody trusts is refused', async (t) => {
  const { port } = await serveHttps(t);
  await assert.rejects(fetchText('video.example', port), isCertificateError);
});

test('a trusted certificate must be of the name in the URL, though the address is pinned', async (t) => {
  const { port, names } = await serveHttps(t);
  const trusted = getCACertificates('default');
  setDefaultCACertificates([...trusted, await fixture('video.example.crt')]);
  t.after(() => {
    setDefaultCACertificates(trusted);
  });
  assert.equal(await fetchText('video.example', port), 'video');
  assert.deepEqual(names, ['video.example']);
  await assert.rejects(fetchText('other.example', port), isCertificateError);
});
