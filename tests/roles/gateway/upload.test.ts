import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import { cancel } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import type { FileId } from '../../../src/domain/ids.ts';
import type { FileWriter } from '../../../src/ports/file-store.ts';
import { patternBytes } from '../../support/bytes.ts';
import { eventually } from '../../support/eventually.ts';
import { bearer, countFiles, fileForm, openGateway, readFile, type Fixture } from './gateway-fixture.ts';
import { BODY_END, curl, partHead, RawClient, requestHead, wholeBody } from './raw-client.ts';

import { beginUpload, conversionsOf, expectNothing, uploadRaw } from './upload-steps.ts';

void test('the three lines of curl from the family work as they are', async (t) => {
  const gateway = await openGateway(t);
  const token = (await curl('-X', 'POST', `${gateway.url}/login`, '-u', 'ann@example.com:secret')).stdout;
  assert.equal(token, 'ann');
  const file = new URL('./upload.test.ts', import.meta.url).pathname;
  const authorization = `Authorization: Bearer ${token}`;
  const upload = await curl(
    '-X',
    'POST',
    '-F',
    `file=@${file}`,
    '-H',
    authorization,
    `${gateway.url}/upload`,
  );
  assert.equal(upload.stdout, 'success!');
  const [found] = await conversionsOf(gateway);
  assert.equal(found?.name, 'upload.test.ts');
});

void test('an upload of many chunks is stored byte for byte', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 16 * 1024 * 1024 });
  const bytes = patternBytes(9_000_001);
  const answer = await fetch(`${gateway.url}/upload`, {
    method: 'POST',
    headers: bearer('ann'),
    body: fileForm(new Uint8Array(bytes)),
  });
  assert.equal(await answer.text(), 'success!');
  const [found] = await conversionsOf(gateway);
  assert.equal(found?.videoBytes, bytes.length);
  const stored = await readFile(gateway.videos, found.id);
  assert.ok(stored?.equals(bytes));
});

void test('a client that hangs up leaves nothing', async (t) => {
  const gateway = await openGateway(t);
  for (let round = 0; round < 10; round += 1) {
    const { client } = await beginUpload(gateway);
    client.hangUp();
    await expectNothing(gateway);
  }
  const line = await eventually('a line in the log', () =>
    gateway.log.entries.find(({ message }) => message === 'request'),
  );
  assert.deepEqual(
    [line.fields.hungUp, line.fields.status, line.fields.owner],
    [true, null, 'ann@example.com'],
  );
});

void test('a client that has sent all and hangs up while the store is slow: whole or nothing, and it ends', async (t) => {
  const { promise: open, resolve: openStore } = Promise.withResolvers<undefined>();
  class SlowStore extends MemoryFileStore {
    override async create(...args: Parameters<MemoryFileStore['create']>): Promise<FileWriter> {
      await open;
      return super.create(...args);
    }
  }
  const gateway = await openGateway(t, {}, { videos: new SlowStore() });
  // One of the sizes has arrived whole, and is not read to its end, whatever the buffers on the way hold.
  const sizes = Array.from({ length: 24 }, (_, n) => (n + 1) * 16 * 1024);
  for (const size of sizes) {
    const body = wholeBody(Buffer.alloc(size));
    const client = new RawClient(gateway.port);
    await client.send(requestHead('/upload', body.length, bearer('ann')));
    await client.send(body);
    await eventually('its record', async () => (await conversionsOf(gateway)).length > 0);
    client.hangUp();
    await client.closed();
  }
  openStore(undefined);
  const kept = await eventually('none is under way any more', async () => {
    const conversions = await conversionsOf(gateway);
    return conversions.every(({ state }) => state === 'queued') ? conversions : undefined;
  });
  assert.equal(await countFiles(gateway.videos), kept.length);
  for (const { videoBytes } of kept) assert.ok(sizes.includes(videoBytes ?? -1), String(videoBytes));
});

void test('an upload that stalls is 408, its connection closed, and leaves nothing', async (t) => {
  const gateway = await openGateway(t, { uploadIdleMs: 200 });
  const { client } = await beginUpload(gateway);
  t.after(() => {
    client.hangUp();
  });
  assert.match(await client.closed(), /^HTTP\/1\.1 408 [^]*connection: close[^]*upload stalled$/i);
  await expectNothing(gateway);
});

void test('an upload that is slow but alive does not stall', async (t) => {
  const gateway = await openGateway(t, { uploadIdleMs: 300, leaseMs: 90 });
  const { client, conversion } = await beginUpload(gateway);
  t.after(() => {
    client.hangUp();
  });
  const enough = Date.now() + 900;
  while (Date.now() < enough) {
    await client.send('x');
    await eventually('another renewal', async () => {
      const current = await gateway.conversions.find(conversion.id);
      return (
        current !== undefined &&
        current.version > conversion.version &&
        (current.lease?.until ?? 0) > Date.now()
      );
    });
  }
  assert.equal(client.received, '');
  assert.equal((await gateway.conversions.find(conversion.id))?.state, 'uploading');
});

void test('a slow store does not count as a stalled client, and holds the client back', async (t) => {
  class SlowStore extends MemoryFileStore {
    readonly gate = Promise.withResolvers<undefined>();

    override async create(id: FileId): Promise<FileWriter> {
      const writer = await super.create(id);
      const write = writer.write.bind(writer);
      writer.write = async (chunk) => {
        await this.gate.promise;
        await write(chunk);
      };
      return writer;
    }
  }
  const videos = new SlowStore();
  const gateway = await openGateway(t, { uploadIdleMs: 150, maxUploadBytes: 64 * 1024 * 1024 }, { videos });
  const body = wholeBody(Buffer.alloc(30_000_000));
  const client = new RawClient(gateway.port);
  t.after(() => {
    client.hangUp();
  });
  await client.send(requestHead('/upload', body.length, { ...bearer('ann'), connection: 'close' }));
  let isSent = false;
  const sending = client.send(body).then(() => {
    isSent = true;
  });
  const waited = Date.now() + 600;
  await eventually('four idle times', () => Date.now() > waited);
  assert.equal(isSent, false);
  assert.equal(client.received, '');
  videos.gate.resolve(undefined);
  await sending;
  assert.match(await client.closed(), /success!$/);
});

void test('its owner cancels an upload while it runs: 409, and the record stays as cancelled', async (t) => {
  // In this process at once, through the API; from another process when the lease is renewed.
  const here = await openGateway(t);
  const first = await beginUpload(here);
  const path = `/api/v1/conversions/${first.conversion.id}`;
  const answer = await fetch(here.url + path, { method: 'DELETE', headers: bearer('ann') });
  assert.equal(answer.status, 204);
  assert.match(await first.client.closed(), /^HTTP\/1\.1 409 [^]*upload was cancelled$/);
  const elsewhere = await openGateway(t, { leaseMs: 60 });
  const second = await beginUpload(elsewhere);
  await elsewhere.conversions.update(second.conversion.id, (c) => cancel(c, Date.now()));
  assert.match(await second.client.closed(), /^HTTP\/1\.1 409 /);
  for (const gateway of [here, elsewhere]) {
    assert.equal(await countFiles(gateway.videos), 0);
    assert.deepEqual(
      (await conversionsOf(gateway)).map(({ state }) => state),
      ['cancelled'],
    );
  }
});

void test('a store that fails in the middle is 500 and leaves nothing', async (t) => {
  class BrokenStore extends MemoryFileStore {
    override async create(id: FileId): Promise<FileWriter> {
      const writer = await super.create(id);
      writer.write = () => Promise.reject(new AudiowaveError('store.unavailable'));
      return writer;
    }
  }
  const gateway = await openGateway(t, {}, { videos: new BrokenStore() });
  assert.match(await uploadRaw(gateway, wholeBody('video')), /^HTTP\/1\.1 500 [^]*internal server error$/);
  await expectNothing(gateway);
});

void test('records that go away before the end are 500, and what is left is swept', async (t) => {
  const gateway = await openGateway(t);
  const { client, conversion } = await beginUpload(gateway);
  const update = gateway.conversions.update.bind(gateway.conversions);
  gateway.conversions.update = () => Promise.reject(new AudiowaveError('store.unavailable'));
  const rest = 1_000_000 - partHead().length - 'the beginning'.length;
  await client.send(Buffer.concat([Buffer.alloc(rest - BODY_END.length), Buffer.from(BODY_END)]));
  await eventually('the answer', () => client.received.endsWith('internal server error'));
  client.hangUp();
  // Its record still names the bytes; what is left of both goes when its lease has run out.
  assert.equal((await gateway.conversions.find(conversion.id))?.state, 'uploading');
  gateway.conversions.update = update;
});

void test('200 idle slow uploads do not stop a fast one', async (t) => {
  const gateway = await openGateway(t);
  const slow = Array.from({ length: 200 }, () => new RawClient(gateway.port));
  t.after(() => {
    for (const client of slow) client.hangUp();
  });
  await Promise.all(
    slow.map((client) => client.send(requestHead('/upload', 1_000_000, bearer('bob')) + partHead() + 'x')),
  );
  await eventually('200 uploads run', async () => {
    const { conversions, next } = await gateway.conversions.list('bob@example.com', { limit: 100 });
    return (
      next !== undefined &&
      conversions.length === 100 &&
      (await gateway.conversions.leaseExpired(Infinity, 300)).length === 200
    );
  });
  const answer = await fetch(`${gateway.url}/upload`, {
    method: 'POST',
    headers: bearer('ann'),
    body: fileForm(new Uint8Array(500_000)),
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(await answer.text(), 'success!');
  for (const client of slow) client.hangUp();
  await eventually(
    'the slow ones leave nothing',
    async () => (await conversionsOf(gateway, 'bob@example.com')).length === 0,
  );
  assert.equal(await countFiles(gateway.videos), 1);
});

void test('stop() lets an upload end, and breaks off one that does not', async (t) => {
  const gateway = await openGateway(t);
  const { client } = await beginUpload(gateway);
  const other = await beginOther(gateway);
  const stopped = gateway.stop(1_000);
  const rest = 1_000_000 - partHead().length - 1;
  await other.send(Buffer.concat([Buffer.alloc(rest - BODY_END.length), Buffer.from(BODY_END)]));
  assert.match(await other.closed(), /^HTTP\/1\.1 200 OK[^]*connection: close[^]*success!$/i);
  await stopped;
  await client.closed();
  assert.deepEqual(
    (await conversionsOf(gateway)).map(({ state }) => state),
    [],
  );
  assert.equal(await countFiles(gateway.videos), 1);
  await assert.rejects(fetch(gateway.url));
});

async function beginOther(gateway: Fixture): Promise<RawClient> {
  const client = new RawClient(gateway.port);
  await client.send(requestHead('/upload', 1_000_000, bearer('bob')) + partHead() + 'x');
  await eventually('another upload', async () => (await conversionsOf(gateway, 'bob@example.com'))[0]);
  return client;
}
