import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import { eventually } from '../../support/eventually.ts';
import { bearer, openGateway } from './gateway-fixture.ts';
import { BODY_END, partHead, RawClient, requestHead, wholeBody } from './raw-client.ts';

import { bodyOf, conversionsOf, expectNothing, uploadRaw } from './upload-steps.ts';

void test('a file of exactly MAX_UPLOAD is taken, one byte more is 413 and leaves nothing', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 100_000 });
  assert.equal(bodyOf(await uploadRaw(gateway, wholeBody(Buffer.alloc(100_001)))), 'file too large');
  await expectNothing(gateway);
  assert.equal(bodyOf(await uploadRaw(gateway, wholeBody(Buffer.alloc(100_000)))), 'success!');
});

void test('a file of no bytes is one file', async (t) => {
  const gateway = await openGateway(t);
  assert.equal(bodyOf(await uploadRaw(gateway, wholeBody(''))), 'success!');
  assert.equal((await conversionsOf(gateway))[0]?.videoBytes, 0);
});

void test('a second file behind the first keeps nothing of either', async (t) => {
  const gateway = await openGateway(t);
  const two = Buffer.from(`${partHead()}first\r\n${partHead('name="file"; filename="b"')}second${BODY_END}`);
  assert.match(await uploadRaw(gateway, two), /^HTTP\/1\.1 400 [^]*exactly 1 file required$/);
  await expectNothing(gateway);
});

void test('a malformed or cut multipart body is 400 and leaves nothing', async (t) => {
  const gateway = await openGateway(t);
  const bodies = [
    `${partHead()}cut off before the closing boundary`,
    `${partHead()}cut off behind\r\n--the-boundary\r\n`,
    `${partHead()}another\r\n--other-boundary--\r\n`,
    'no boundary at all',
    '--the-boundary\r\n',
    '--the-boundary\r\nContent-Disposition: form-data; name="file"; filename="x"',
    '',
    '--the-boundary--\r\n',
  ];
  for (const body of bodies) {
    assert.match(
      await uploadRaw(gateway, Buffer.from(body)),
      /^HTTP\/1\.1 400 [^]*\r\n\r\n(?:malformed upload|exactly 1 file required)$/,
      JSON.stringify(body),
    );
  }
  await expectNothing(gateway);
});

void test('a boundary longer than any client sends is 400 and leaves nothing', async (t) => {
  const gateway = await openGateway(t);
  const boundary = 'b'.repeat(5000);
  const answer = await fetch(`http://127.0.0.1:${String(gateway.port)}/upload`, {
    method: 'POST',
    headers: { ...bearer('ann'), 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: `--${boundary}--\r\n`,
  });
  assert.deepEqual([answer.status, await answer.text()], [400, 'malformed upload']);
  await expectNothing(gateway);
});

void test('too many fields, and endless ones, end the upload', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 1000 });
  const field = '--the-boundary\r\nContent-Disposition: form-data; name="f"\r\n\r\nvalue\r\n';
  const many = await uploadRaw(gateway, Buffer.from(field.repeat(100) + wholeBody('x').toString()));
  assert.match(many, /^HTTP\/1\.1 400 /);
  const endless = new RawClient(gateway.port);
  t.after(() => {
    endless.hangUp();
  });
  await endless.send(requestHead('/upload', undefined, bearer('ann')));
  const chunk = Buffer.alloc(0x10000, 'x');
  const start = '--the-boundary\r\nContent-Disposition: form-data; name="f"\r\n\r\n';
  await endless.send(`${start.length.toString(16)}\r\n${start}\r\n`);
  for (let sent = 0; sent < 300 && endless.received === ''; sent += 1) {
    await endless.send(Buffer.concat([Buffer.from('10000\r\n'), chunk, Buffer.from('\r\n')]));
  }
  await eventually('a refusal', () => endless.received.startsWith('HTTP/1.1 413 '));
  await expectNothing(gateway);
});

void test('an upload that would fill the disk is 507, before and during', async (t) => {
  class SmallStore extends MemoryFileStore {
    free = 1_000_000;
    override freeBytes(): Promise<undefined> {
      return Promise.resolve(this.free) as unknown as Promise<undefined>;
    }
  }
  const videos = new SmallStore();
  const limits = { minFreeDiskBytes: 500_000, maxUploadBytes: 100 * 1024 * 1024 };
  const gateway = await openGateway(t, limits, { videos });
  const refused = await uploadRaw(gateway, wholeBody(Buffer.alloc(600_000)));
  assert.match(refused, /^HTTP\/1\.1 507 [^]*not enough disk space$/);
  videos.free = 200 * 1024 * 1024;
  const client = new RawClient(gateway.port);
  t.after(() => {
    client.hangUp();
  });
  const length = 90 * 1024 * 1024;
  await client.send(requestHead('/upload', length, bearer('ann')) + partHead() + 'x'.repeat(100));
  await eventually('a record', async () => (await conversionsOf(gateway)).length === 1);
  videos.free = 400_000;
  const chunk = Buffer.alloc(1024 * 1024);
  for (let sent = 0; sent < 60 && client.received === ''; sent += 1) await client.send(chunk);
  await eventually('a refusal', () => client.received.startsWith('HTTP/1.1 507 '));
  await expectNothing(gateway);
});

void test('the name of the file is kept without folders, control characters and tricks', async (t) => {
  const gateway = await openGateway(t);
  const names: [disposition: string, name: string | null][] = [
    ['name="file"; filename="../../etc/pass wd.mp4"', 'pass wd.mp4'],
    ['name="file"; filename="C:\\fakepath\\talk.mp4"', 'talk.mp4'],
    ['name="file"; filename="a%22b.mp4"', 'a"b.mp4'],
    ['name="file"; filename="Käse ü 🎬.mp4"', 'Käse ü 🎬.mp4'],
    ['name="file"; filename*=UTF-8\'\'na%C3%AFve%20%E2%82%AC.mp4', 'naïve €.mp4'],
    ['name="file"; filename="a\tb\u0007.mp4"', 'ab.mp4'],
    ['name="file"; filename="\u202egpj.mp4"', 'gpj.mp4'],
    ['name="file"; filename=""', null],
    ['name="file"; filename=".."', null],
    [`name="file"; filename="${'ä'.repeat(200)}.mp4"`, `${'ä'.repeat(125)}.mp4`],
  ];
  for (const [disposition, name] of names) {
    assert.equal(bodyOf(await uploadRaw(gateway, wholeBody('video', disposition))), 'success!', disposition);
    const [newest] = await conversionsOf(gateway);
    assert.equal(newest?.name, name, disposition);
    await gateway.conversions.remove(newest.id);
  }
});
