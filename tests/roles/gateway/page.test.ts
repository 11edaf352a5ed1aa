import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { tempFolder } from '../../support/temp.ts';
import { bearer, openGateway, type Fixture } from './gateway-fixture.ts';
import { RawClient } from './raw-client.ts';

async function openWithPage(t: TestContext): Promise<Fixture> {
  const folder = await tempFolder(t);
  const web = join(folder, 'web');
  await mkdir(join(web, 'assets', 'deep'), { recursive: true });
  await writeFile(join(folder, 'secret.js'), 'secret');
  await writeFile(join(web, 'index.html'), '<!doctype html><title>Audiowave</title>');
  await writeFile(join(web, 'tsconfig.json'), 'secret');
  await writeFile(join(web, 'assets', 'main.js'), 'export {};');
  await writeFile(join(web, 'assets', 'deep', 'look.css'), 'a {}');
  await writeFile(join(web, 'assets', '.hidden.js'), 'secret');
  await writeFile(join(web, 'assets', 'notes.md'), 'secret');
  return openGateway(t, { webFolder: web });
}

void test('the page and its assets are served with their types, and may load only what is ours', async (t) => {
  const gateway = await openWithPage(t);
  const page = await fetch(gateway.url);
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(await page.text(), /Audiowave/);
  const policy = page.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'self'", "media-src 'self' blob:", "frame-ancestors 'none'"]) {
    assert.ok(policy.split('; ').includes(part), part);
  }
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(page.headers.get('referrer-policy'), 'no-referrer');
  const script = await fetch(`${gateway.url}/assets/main.js`);
  assert.equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8');
  const style = await fetch(`${gateway.url}/assets/deep/look.css`);
  assert.equal(style.headers.get('content-type'), 'text/css; charset=utf-8');
  const etag = script.headers.get('etag') ?? '';
  const again = await fetch(`${gateway.url}/assets/main.js`, { headers: { 'if-none-match': etag } });
  assert.equal(again.status, 304);
  const head = await fetch(gateway.url, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

void test('nothing else of the disk is served', async (t) => {
  const gateway = await openWithPage(t);
  const paths = [
    '/assets/../index.html',
    '/assets/../../secret.js',
    '/assets/..%2f..%2fsecret.js',
    '/assets/%2e%2e/%2e%2e/secret.js',
    '/assets/..\\..\\secret.js',
    '/assets//etc/passwd',
    '/assets/.hidden.js',
    '/assets/notes.md',
    '/assets/main.js%00.css',
    '/assets/deep',
    '/assets/',
    '/tsconfig.json',
    '/index.html',
  ];
  for (const path of paths) {
    // fetch() would tidy the path up.
    const client = new RawClient(gateway.port);
    await client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    assert.match(await client.closed(), /^HTTP\/1\.1 404 [^]*not found$/, path);
  }
});

void test('each request is one line in the log: route, status, duration, bytes, owner, and no secret', async (t) => {
  const gateway = await openWithPage(t);
  const headers = { ...bearer('ann'), 'x-request-id': 'request-7' };
  await (
    await fetch(`${gateway.url}/api/v1/conversions?cursor=&limit=5&token=hidden`, { headers })
  ).arrayBuffer();
  await (await fetch(`${gateway.url}/no/such/hidden?token=hidden`)).arrayBuffer();
  const lines = await eventually('two lines', () => {
    const found = gateway.log.entries.filter(({ message }) => message === 'request');
    return found.length === 2 ? found.map(({ fields }) => fields) : undefined;
  });
  const [list, lost] = lines;
  const { durationMs, bytesSent, bytesReceived, ...rest } = list ?? {};
  assert.ok(Number(durationMs) >= 0 && Number(bytesSent) > 100 && Number(bytesReceived) > 100);
  const route = '/api/v1/conversions';
  assert.deepEqual(rest, {
    method: 'GET',
    route,
    status: 400,
    requestId: 'request-7',
    owner: 'ann@example.com',
  });
  assert.deepEqual([lost?.route, lost?.status], ['none', 404]);
  assert.ok(!JSON.stringify(gateway.log.entries).includes('hidden'));
});
