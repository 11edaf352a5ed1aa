import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SqliteBroker } from '../../../src/adapters/sqlite/broker.ts';
import { SqliteUserStore } from '../../../src/adapters/sqlite/user-store.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { startPatiently, type PatientStartOptions } from '../../../src/host/patient-start.ts';
import type { RunningRole } from '../../../src/ports/role.ts';
import { eventually } from '../../support/eventually.ts';
import { readyz, runHost, testConfig } from '../../support/hosts.ts';
import { recordedLog } from '../../support/recorded-log.ts';

const AWAY = new AudiowaveError('broker.unavailable');

interface Played {
  readonly options: PatientStartOptions;
  readonly reasons: (string | undefined)[];
  readonly failures: unknown[];
  readonly stops: number[];
  readonly role: RunningRole;
}

function play(): Played {
  const reasons: (string | undefined)[] = [];
  const failures: unknown[] = [];
  const stops: number[] = [];
  const options = {
    log: recordedLog(),
    onWait: (reason: string | undefined) => reasons.push(reason),
    onFailure: (error: unknown) => failures.push(error),
    patienceMs: 20,
  };
  const role: RunningRole = {
    stop: (graceMs) => {
      stops.push(graceMs);
      return Promise.resolve();
    },
  };
  return { options, reasons, failures, stops, role };
}

test('a role whose server is away is waited for, and runs when the server is there', async () => {
  const { options, reasons, failures, stops, role } = play();
  let tries = 0;
  const started = await startPatiently(
    () => (++tries < 3 ? Promise.reject(AWAY) : Promise.resolve(role)),
    options,
  );
  await eventually('it runs', () => reasons.includes(undefined));
  assert.deepEqual([reasons, failures], [[AWAY.message, AWAY.message, undefined], []]);
  await started.stop(7);
  assert.deepEqual(stops, [7]);
});

test('what no waiting helps is thrown at once, or told later', async () => {
  const { options, failures } = play();
  const broken = new Error('broken');
  await assert.rejects(
    startPatiently(() => Promise.reject(broken), options),
    broken,
  );
  let tries = 0;
  await startPatiently(() => Promise.reject(++tries < 2 ? AWAY : broken), options);
  await eventually('it is told', () => failures.length > 0);
  assert.deepEqual(failures, [broken]);
});

test('stopping ends the tries at once, and stops what comes up too late', async () => {
  const { options, stops, role } = play();
  const late = Promise.withResolvers<RunningRole>();
  const hanging = await startPatiently(() => late.promise, options);
  await hanging.stop(9);
  assert.deepEqual(stops, []);
  late.resolve(role);
  await eventually('it is stopped', () => stops.length > 0);
  assert.deepEqual(stops, [0]);
  const waiting = await startPatiently(() => Promise.reject(AWAY), options);
  await waiting.stop(0);
});

test('a process starts without its broker: it listens, is not ready and says what it waits for, and stops soon', async (t) => {
  const consume = t.mock.method(SqliteBroker.prototype, 'consume', () => Promise.reject(AWAY));
  const host = await runHost(t, await testConfig(t));
  const reasons = `converter waits: ${AWAY.message}; notification waits: ${AWAY.message}`;
  assert.deepEqual(await readyz(host.url), { status: 503, failing: [['roles', reasons]] });
  consume.mock.restore();
  await eventually('it is ready', async () => (await readyz(host.url)).status === 200, 10_000);
  t.mock.method(SqliteBroker.prototype, 'consume', () => Promise.reject(AWAY));
  const other = await runHost(t, await testConfig(t), ['notification']);
  const stoppedAt = Date.now();
  await other.stop(20_000);
  assert.ok(Date.now() - stoppedAt < 2_000);
});

test('the first administrator is made as soon as the accounts are there; meanwhile auth listens', async (t) => {
  const away = new AudiowaveError('store.unavailable');
  const add = t.mock.method(SqliteUserStore.prototype, 'add', () => Promise.reject(away));
  const config = await testConfig(t, {
    BOOTSTRAP_ADMIN_EMAIL: 'ann@example.com',
    BOOTSTRAP_ADMIN_PASSWORD: 'long enough',
  });
  const host = await runHost(t, config, ['auth']);
  const login = async (): Promise<number> => {
    const authorization = `Basic ${Buffer.from('ann@example.com:long enough').toString('base64')}`;
    return (await fetch(`${String(host.url)}/login`, { method: 'POST', headers: { authorization } })).status;
  };
  assert.equal(await login(), 401);
  assert.deepEqual(await readyz(host.url), {
    status: 503,
    failing: [['roles', `auth waits: ${away.message}`]],
  });
  add.mock.restore();
  await eventually('it is ready', async () => (await readyz(host.url)).status === 200, 10_000);
  assert.equal(await login(), 200);
});
