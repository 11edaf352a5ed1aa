import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { SqliteBroker } from '../../../src/adapters/sqlite/broker.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { startHost } from '../../../src/host/host.ts';
import { readyz, runHost, testConfig } from '../../support/hosts.ts';
import { listen } from '../../support/listen.ts';
import { recordedLog } from '../../support/recorded-log.ts';

test('the probes of a process that listens nowhere else: what the gateway answers, and nothing besides', async (t) => {
  const host = await runHost(t, await testConfig(t), ['converter', 'notification']);
  const url = String(host.healthUrl);
  const alive = await fetch(`${url}/healthz?x`);
  assert.deepEqual([alive.status, await alive.json()], [200, { status: 'ok' }]);
  assert.equal(alive.headers.get('cache-control'), 'no-store');
  const answer = await fetch(`${url}/readyz`);
  const { ready, checks } = (await answer.json()) as { ready: boolean; checks: { name: string }[] };
  assert.equal(ready, true);
  assert.deepEqual(checks.map(({ name }) => name).sort(), [
    ...['broker', 'conversions', 'mail', 'mp3s', 'roles', 'videos'],
  ]);
  const head = await fetch(`${url}/readyz`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.equal((await fetch(`${url}/login`)).status, 404);
  const post = await fetch(`${url}/healthz`, { method: 'POST', body: 'x' });
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD']);
  await host.stop(1_000);
  await assert.rejects(fetch(`${url}/healthz`));
});

test('where a server is away, readiness is red and says why, the process lives, and the log tells it once', async (t) => {
  const host = await runHost(t, await testConfig(t), ['converter']);
  const away = new AudiowaveError('broker.unavailable', undefined, { detail: 'nobody at mq:5672' });
  const check = t.mock.method(SqliteBroker.prototype, 'check', () => Promise.reject(away));
  for (let probe = 0; probe < 3; probe += 1) {
    assert.deepEqual(await readyz(host.healthUrl), {
      status: 503,
      failing: [['broker', `${away.message} (nobody at mq:5672)`]],
    });
  }
  assert.equal((await fetch(`${String(host.healthUrl)}/healthz`)).status, 200);
  check.mock.restore();
  for (let probe = 0; probe < 2; probe += 1) assert.equal((await readyz(host.healthUrl)).status, 200);
  const told = host.log.entries.filter(({ fields }) => fields.port === 'broker');
  assert.deepEqual(
    told.map(({ level, message }) => [level, message]),
    [
      ['warn', `broker is away: ${away.message} (nobody at mq:5672)`],
      ['info', 'broker is back'],
    ],
  );
});

test('a server that keeps silent is named by the first probe already, in time, and without its password', async (t) => {
  const port = await listen(
    t,
    createServer((socket) => socket.on('error', () => undefined).resume()),
  );
  const place = `127.0.0.1:${String(port)}`;
  const config = await testConfig(t, {
    CONVERSIONS_URL: `mongodb://ann:s3cret@${place}/audiowave`,
    VIDEOS_URL: `mongodb://ann:s3cret@${place}/videos`,
    MP3S_URL: `mongodb://ann:s3cret@${place}/mp3s`,
    BROKER_URL: `amqp://ann:s3cret@${place}/`,
    MAIL_URL: `smtp://${place}`,
  });
  const host = await runHost(t, config, ['converter', 'notification']);
  const begun = Date.now();
  const { status, failing } = await readyz(host.healthUrl);
  assert.ok(Date.now() - begun < 3_000);
  assert.equal(status, 503);
  const servers = failing.filter(([name]) => name !== 'roles');
  assert.deepEqual(servers.map(([name]) => name).sort(), ['broker', 'conversions', 'mail', 'mp3s', 'videos']);
  for (const [, message = ''] of servers) {
    assert.ok(message.includes(place), message);
    assert.match(message, /no answer|in time|timed out/);
    assert.doesNotMatch(message, /s3cret/);
  }
});

test('a port of the probes that is taken gets one line with its setting', async (t) => {
  const port = await listen(t, createServer());
  const config = await testConfig(t, { AUDIOWAVE_HEALTH_PORT: String(port) });
  await assert.rejects(startHost(config, ['notification'], recordedLog()), (error) => {
    assert.ok(error instanceof AudiowaveError && error.code === 'host.port-taken', String(error));
    assert.match(error.message, new RegExp(`^Port ${String(port)} .* AUDIOWAVE_HEALTH_PORT=\\d+ `));
    return true;
  });
  const host = await runHost(t, config, ['auth']);
  assert.equal(host.healthUrl, undefined);
});
