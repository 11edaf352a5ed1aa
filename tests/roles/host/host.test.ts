import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { SqliteBroker } from '../../../src/adapters/sqlite/broker.ts';
import { startHost } from '../../../src/host/host.ts';
import { PortSet } from '../../../src/host/port-set.ts';
import { ROLE_NAMES, type RoleContext } from '../../../src/host/roles.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { playRoles, readyz, runHost, testConfig } from '../../support/hosts.ts';
import { recordedLog } from '../../support/recorded-log.ts';

test('all roles in one process: ready when started, gone when stopped, and again on the same data', async (t) => {
  const config = await testConfig(t);
  for (let round = 0; round < 2; round += 1) {
    const host = await runHost(t, config);
    assert.match(String(host.url), /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.deepEqual(await readyz(host.url), { status: 200, failing: [] });
    const started = host.log.entries.filter(({ message }) => message === 'role started');
    assert.deepEqual(
      started.map(({ fields }) => fields.role),
      [...ROLE_NAMES],
    );
    await host.stop(5_000);
    await assert.rejects(fetch(String(host.url)));
    assert.deepEqual(
      host.log.entries.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
  }
});

test('auth alone listens on its own port, and opens nothing but the accounts', async (t) => {
  const host = await runHost(t, await testConfig(t), ['auth']);
  const answer = await fetch(`${String(host.url)}/validate`, { method: 'POST' });
  assert.deepEqual([answer.status, await answer.text()], [401, 'missing credentials']);
  const response = await fetch(`${String(host.url)}/readyz`);
  const { checks } = (await response.json()) as { checks: { name: string }[] };
  assert.deepEqual(
    checks.map(({ name }) => name),
    ['roles', 'users'],
  );
});

test('several processes share one data folder', async (t) => {
  const config = await testConfig(t);
  const gateway = await runHost(t, config, ['auth', 'gateway']);
  const converter = await runHost(t, config, ['converter']);
  const notification = await runHost(t, config, ['notification']);
  assert.deepEqual((await readyz(gateway.url)).failing, []);
  assert.deepEqual([converter.url, notification.url], [undefined, undefined]);
  for (const { healthUrl } of [converter, notification]) {
    assert.deepEqual(await readyz(healthUrl), { status: 200, failing: [] });
  }
  assert.equal(gateway.healthUrl, undefined);
});

test('roles start in their order and stop in reverse, whatever order they are named in', async (t) => {
  const events = playRoles(t);
  const host = await runHost(t, await testConfig(t), ['notification', 'gateway', 'auth', 'converter']);
  await host.stop(1_000);
  await host.stop(0);
  const names = [...ROLE_NAMES];
  const all = [...names.map((name) => `start ${name}`), ...names.reverse().map((name) => `stop ${name}`)];
  assert.deepEqual(events, all);
});

test('a process is ready neither while it starts nor while it stops', async (t) => {
  const seen: [string, boolean, string | undefined][] = [];
  let context: RoleContext | undefined;
  const look = async (when: string): Promise<void> => {
    const { ready, checks } = (await context?.readiness()) ?? { ready: true, checks: [] };
    seen.push([when, ready, checks.find(({ name }) => name === 'roles')?.message]);
  };
  playRoles(t, {
    gateway: async (given) => {
      context = given;
      await look('start');
      return { stop: () => look('stop') };
    },
  });
  const host = await runHost(t, await testConfig(t));
  await look('run');
  await host.stop(1_000);
  assert.deepEqual(seen, [
    ['start', false, 'starting'],
    ['run', true, 'running'],
    ['stop', false, 'stopping'],
  ]);
});

test('a process is not ready while an adapter does not answer, and is again when it does', async (t) => {
  const host = await runHost(t, await testConfig(t));
  const away = new AudiowaveError('broker.unavailable');
  const check = t.mock.method(SqliteBroker.prototype, 'check', () => Promise.reject(away));
  assert.deepEqual(await readyz(host.url), { status: 503, failing: [['broker', away.message]] });
  check.mock.mockImplementation(() => new Promise<void>(() => undefined));
  const { status, failing } = await readyz(host.url);
  assert.deepEqual([status, failing.map(([name]) => name)], [503, ['broker']]);
  check.mock.restore();
  assert.equal((await readyz(host.url)).status, 200);
  assert.equal((await fetch(`${String(host.url)}/healthz`)).status, 200);
});

test('a process is not ready when the folder of its videos is gone', async (t) => {
  const config = await testConfig(t);
  const host = await runHost(t, config);
  await rm(`${config.dataFolder}/videos`, { recursive: true });
  const { status, failing } = await readyz(host.url);
  assert.deepEqual([status, failing.map(([name]) => name)], [503, ['videos']]);
});

test('a role that hangs, or fails, while it stops does not keep the others from stopping, in bounded time', async (t) => {
  const events = playRoles(t, {
    converter: () => Promise.resolve({ stop: () => new Promise<void>(() => undefined) }),
    gateway: () => Promise.resolve({ stop: () => Promise.reject(new Error('broken')) }),
  });
  const host = await runHost(t, await testConfig(t));
  const stoppedAt = Date.now();
  await host.stop(200);
  const tookMs = Date.now() - stoppedAt;
  assert.ok(tookMs < 5_000, `${String(tookMs)} ms`);
  assert.deepEqual(events.slice(4), ['stop notification', 'stop converter', 'stop gateway', 'stop auth']);
  const warned = host.log.entries.filter(({ message }) => message === 'role not stopped cleanly');
  assert.deepEqual(
    warned.map(({ fields }) => fields.role),
    ['converter', 'gateway'],
  );
});

test('all roles share the time that they have to stop', async (t) => {
  const graces: number[] = [];
  const stop = async (graceMs: number): Promise<void> => {
    graces.push(graceMs);
    const end = Date.now() + 120;
    await eventually('some time has gone by', () => Date.now() >= end);
  };
  playRoles(t, { notification: () => Promise.resolve({ stop }), converter: () => Promise.resolve({ stop }) });
  const host = await runHost(t, await testConfig(t));
  await host.stop(1_000);
  const [first = 0, second = 0] = graces;
  assert.ok(first > 950 && first <= 1_000 && second <= first - 100, graces.join());
});

test('an adapter that hangs while it closes does not keep the process, nor the others open', async (t) => {
  t.mock.method(SqliteBroker.prototype, 'close', () => new Promise<void>(() => undefined));
  const config = await testConfig(t);
  const log = recordedLog();
  const ports = new PortSet(config, log);
  const conversions = await ports.conversions();
  await ports.broker();
  const closedAt = Date.now();
  await ports.close();
  assert.ok(Date.now() - closedAt < 8_000);
  await assert.rejects(conversions.check());
  assert.deepEqual(
    log.entries.map(({ message, fields }) => [message, fields.port]),
    [['not closed cleanly', 'broker']],
  );
});

test('where one role does not start, those that did are stopped, and its error is told', async (t) => {
  const error = new Error('no converter today');
  const events = playRoles(t, { converter: () => Promise.reject(error) });
  const config = await testConfig(t);
  await assert.rejects(startHost(config, ROLE_NAMES, recordedLog()), error);
  assert.deepEqual(events.slice(2), ['start converter', 'stop gateway', 'stop auth']);
});
