import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claim, fail, renew, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { bearer, countFiles, fileForm, openGateway, readyConversion } from './gateway-fixture.ts';
import { call, expectProblem, type Json } from './api-calls.ts';

void test('every route with a token refuses requests without a good one', async (t) => {
  const gateway = await openGateway(t);
  const id = mintFileId();
  const routes: [method: string, path: string][] = [
    ['GET', '/users/me'],
    ['GET', '/outbox'],
    ['GET', '/conversions'],
    ['POST', '/conversions'],
    ['GET', `/conversions/${id}`],
    ['DELETE', `/conversions/${id}`],
    ['GET', `/conversions/${id}/mp3`],
    ['POST', `/conversions/${id}/links`],
  ];
  for (const [method, path] of routes) {
    expectProblem(await call(gateway, method, path, { token: '' }), 401, 'auth.missing-credentials');
    const forged = await call(gateway, method, path, { token: 'forged' });
    expectProblem(forged, 401, 'auth.invalid-token');
    assert.equal(forged.headers.get('www-authenticate'), 'Bearer error="invalid_token"');
    expectProblem(await call(gateway, method, path, { token: 'powerless' }), 403, 'auth.forbidden');
  }
});

void test('an upload is 201 with its conversion, and shows up in the list', async (t) => {
  const gateway = await openGateway(t);
  const made = await call(gateway, 'POST', '/conversions', { body: fileForm('video', 'talk.mp4') });
  assert.equal(made.status, 201);
  const id = String(made.body.id);
  assert.equal(made.headers.get('location'), `/api/v1/conversions/${id}`);
  const { createdAt, updatedAt, ...rest } = made.body;
  assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.match(String(updatedAt), /Z$/);
  assert.deepEqual(rest, {
    id,
    state: 'queued',
    name: 'talk.mp4',
    source: { kind: 'upload' },
    videoBytes: 5,
    mp3Fid: null,
    mp3Bytes: null,
    durationMs: null,
    progressPercent: null,
    incomplete: false,
    failure: null,
    attempts: 0,
    mail: 'none',
    startedAt: null,
    endedAt: null,
    links: { self: `/api/v1/conversions/${id}`, mp3: null },
  });
  const shown = await call(gateway, 'GET', `/conversions/${id.toUpperCase()}`);
  assert.equal(shown.body.id, id);
  assert.deepEqual((await call(gateway, 'GET', '/conversions')).body.nextCursor, null);
});

void test('uploads that are refused are problems', async (t) => {
  const gateway = await openGateway(t, { maxUploadBytes: 10 });
  const big = await call(gateway, 'POST', '/conversions', { body: fileForm('more than ten bytes') });
  expectProblem(big, 413, 'upload.too-large');
  expectProblem(await call(gateway, 'POST', '/conversions', { json: {} }), 400, 'import.url-required');
  const file = { url: 'file:///etc/passwd' };
  expectProblem(await call(gateway, 'POST', '/conversions', { json: file }), 400, 'import.url-not-allowed');
  expectProblem(await call(gateway, 'POST', '/conversions', { body: 'raw' }), 400, 'upload.not-one-file');
  // Only the drop-in route takes a token out of the body.
  const inBody = { url: 'https://example.com/a', access_token: 'ann' };
  const answer = await call(gateway, 'POST', '/conversions', { token: '', json: inBody });
  expectProblem(answer, 401, 'auth.missing-credentials');
});

void test('where a store is away, it is 503 with Retry-After', async (t) => {
  const gateway = await openGateway(t);
  await gateway.conversions.close();
  expectProblem(await call(gateway, 'GET', '/conversions'), 503, 'store.unavailable');
  expectProblem(await call(gateway, 'POST', '/conversions', { body: fileForm() }), 503, 'store.unavailable');
});

void test('the list is paged, newest first, with only the caller’s own', async (t) => {
  const gateway = await openGateway(t);
  const made: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    made.unshift(String((await call(gateway, 'POST', '/conversions', { body: fileForm() })).body.id));
    await call(gateway, 'POST', '/conversions', { token: 'bob', body: fileForm() });
  }
  const seen: string[] = [];
  let cursor: string | null = '';
  for (let page = 0; cursor !== null; page += 1) {
    const query = page === 0 ? '?limit=2' : `?limit=2&cursor=${encodeURIComponent(cursor)}`;
    const { body } = await call(gateway, 'GET', `/conversions${query}`);
    seen.push(...(body.items as Conversion[]).map(({ id }) => id));
    cursor = body.nextCursor as string | null;
  }
  assert.deepEqual([...seen].sort(), [...made].sort());
  for (const query of ['?limit=0', '?limit=101', '?limit=x', '?cursor=nonsense']) {
    expectProblem(await call(gateway, 'GET', `/conversions${query}`), 400, 'request.malformed');
  }
});

void test("somebody else's conversion is unknown", async (t) => {
  const gateway = await openGateway(t);
  const { id } = await readyConversion(gateway, 'bob@example.com');
  for (const path of [`/conversions/${id}`, `/conversions/${mintFileId()}`, '/conversions/nonsense']) {
    expectProblem(await call(gateway, 'GET', path), 404, 'conversion.unknown');
    expectProblem(await call(gateway, 'DELETE', path), 404, 'conversion.unknown');
    expectProblem(await call(gateway, 'GET', `${path}/mp3`), 404, 'conversion.unknown');
    expectProblem(await call(gateway, 'POST', `${path}/links`), 404, 'conversion.unknown');
  }
  assert.ok(await gateway.conversions.find(id));
});

void test('progress and failure are shown as they are', async (t) => {
  const gateway = await openGateway(t);
  const { body } = await call(gateway, 'POST', '/conversions', { body: fileForm() });
  const id = body.id as ReturnType<typeof mintFileId>;
  const lease = { holder: 'c', until: Date.now() + 60_000 };
  await gateway.conversions.update(id, (c) => claim(c, lease, Date.now()));
  await gateway.conversions.update(id, (c) => renew(c, lease, 0.42345, Date.now()));
  const running = (await call(gateway, 'GET', `/conversions/${id}`)).body;
  assert.deepEqual([running.state, running.progressPercent, running.attempts], ['converting', 42.3, 1]);
  const failure = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;
  await gateway.conversions.update(id, (c) => fail(c, 'c', failure, Date.now()));
  const failed = (await call(gateway, 'GET', `/conversions/${id}`)).body;
  assert.deepEqual([failed.state, failed.failure, failed.mail], ['failed', failure, 'due']);
  expectProblem(await call(gateway, 'GET', `/conversions/${id}/mp3`), 409, 'conversion.not-ready');
  expectProblem(await call(gateway, 'POST', `/conversions/${id}/links`), 409, 'conversion.not-ready');
});

void test('the MP3 of a ready conversion is downloaded; one that was removed is 410', async (t) => {
  const gateway = await openGateway(t);
  const { id, mp3Fid } = await readyConversion(gateway, 'ann@example.com', 'sound');
  const { body } = await call(gateway, 'GET', `/conversions/${id}`);
  assert.equal((body.links as Json).mp3, `/api/v1/conversions/${id}/mp3`);
  const answer = await fetch(`${gateway.url}/api/v1/conversions/${id}/mp3`, { headers: bearer('ann') });
  assert.deepEqual([answer.status, await answer.text()], [200, 'sound']);
  assert.equal(answer.headers.get('content-disposition'), 'attachment; filename=talk.mp3');
  const range = await call(gateway, 'GET', `/conversions/${id}/mp3`, { headers: { range: 'bytes=99-' } });
  expectProblem(range, 416, 'file.range-not-satisfiable');
  await gateway.mp3s.remove(mp3Fid);
  expectProblem(await call(gateway, 'GET', `/conversions/${id}/mp3`), 410, 'conversion.not-ready');
  await gateway.conversions.update(id, (c) => ({ ...c, mp3RemovedAt: Date.now() }));
  expectProblem(await call(gateway, 'GET', `/conversions/${id}/mp3`), 410, 'conversion.not-ready');
  const gone = (await call(gateway, 'GET', `/conversions/${id}`)).body;
  assert.equal((gone.links as Json).mp3, null);
});

void test('DELETE cancels a running conversion, and removes one that has ended with its files', async (t) => {
  const gateway = await openGateway(t);
  const { body } = await call(gateway, 'POST', '/conversions', { body: fileForm() });
  const path = `/conversions/${String(body.id)}`;
  assert.equal((await call(gateway, 'DELETE', path)).status, 204);
  assert.equal((await call(gateway, 'GET', path)).body.state, 'cancelled');
  assert.equal(await countFiles(gateway.videos), 0);
  assert.equal((await call(gateway, 'DELETE', path)).status, 204);
  expectProblem(await call(gateway, 'GET', path), 404, 'conversion.unknown');
  const { id } = await readyConversion(gateway, 'ann@example.com');
  assert.equal((await call(gateway, 'DELETE', `/conversions/${id}`)).status, 204);
  assert.deepEqual([await countFiles(gateway.videos), await countFiles(gateway.mp3s)], [0, 0]);
  assert.equal(await gateway.conversions.find(id), undefined);
});
