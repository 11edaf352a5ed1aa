import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Config, Environment } from '../../../src/config/config.ts';
import { AudiowaveError, hasCode } from '../../../src/domain/errors.ts';
import { openAccounts } from '../../../src/host/accounts.ts';
import { startHost } from '../../../src/host/host.ts';
import { ROLE_NAMES, type RoleName } from '../../../src/host/roles.ts';
import { readyz, runHost, testConfig } from '../../support/hosts.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { tempFolder } from '../../support/temp.ts';

/** A port on which another program listens. */
async function takenPort(t: TestContext): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Code and message of the error with which a start ends. */
async function startError(
  config: Config,
  roles: readonly RoleName[] = ROLE_NAMES,
): Promise<readonly [string, string]> {
  try {
    await (await startHost(config, roles, recordedLog())).stop(0);
  } catch (error) {
    assert.ok(error instanceof AudiowaveError, String(error));
    return [error.code, error.message];
  }
  return ['started', ''];
}

test('a port that is taken gets one line with the way out', async (t) => {
  const port = await takenPort(t);
  const [code, message] = await startError(await testConfig(t, { AUDIOWAVE_PORT: String(port) }));
  assert.equal(code, 'host.port-taken');
  const wayOut = `Stop it, or choose another port: AUDIOWAVE_PORT=${String(port + 1)} npm start`;
  assert.equal(message, `Port ${String(port)} on 127.0.0.1 is taken by another program. ${wayOut}`);
});

test("the way out of auth's own port names auth's setting", async (t) => {
  const port = await takenPort(t);
  const config = await testConfig(t, { AUDIOWAVE_AUTH_PORT: String(port) });
  const [code, message] = await startError(config, ['auth']);
  assert.equal(code, 'host.port-taken');
  assert.match(message, /another port: AUDIOWAVE_AUTH_PORT=\d+ /);
});

test('after a failed start the same data folder can be used at once', async (t) => {
  const taken = await testConfig(t, { AUDIOWAVE_PORT: String(await takenPort(t)) });
  assert.equal((await startError(taken))[0], 'host.port-taken');
  const host = await runHost(t, { ...taken, port: 0 });
  assert.equal((await readyz(host.url)).status, 200);
});

test('an address that is not one of this machine is told with its settings', async (t) => {
  for (const host of ['192.0.2.1', 'no-such-host.invalid']) {
    const [code, message] = await startError(await testConfig(t, { AUDIOWAVE_HOST: host }));
    assert.equal(code, 'config.invalid', message);
    assert.ok(message.startsWith(`Can't listen on ${host}:`) && message.includes('AUDIOWAVE_HOST'), message);
  }
});

test('the probes on an address that is not of this machine are told with their setting', async (t) => {
  const settings = { AUDIOWAVE_HOST: '192.0.2.1', AUDIOWAVE_HEALTH_PORT: '8081' };
  const [code, message] = await startError(await testConfig(t, settings), ['converter']);
  assert.equal(code, 'config.invalid');
  assert.match(message, /^Can't listen on 192\.0\.2\.1:8081 .* AUDIOWAVE_HOST and AUDIOWAVE_HEALTH_PORT /);
});

test('a data folder that can be none is told with its setting', async (t) => {
  const file = join(await tempFolder(t), 'file');
  await writeFile(file, '');
  // Below /proc a folder can't be made, though the folder above is there.
  for (const folder of [file, join(file, 'below'), '/proc', '/proc/audiowave/data']) {
    for (const roles of [ROLE_NAMES, ['converter'], ['notification']] as const) {
      const config = await testConfig(t, { AUDIOWAVE_DATA: folder });
      const [code, message] = await startError(config, roles);
      assert.equal(code, 'config.invalid', message);
      assert.ok(
        message.startsWith(`Can't keep data in ${folder} (`) && message.includes('AUDIOWAVE_DATA'),
        message,
      );
    }
  }
});

test('accounts in a data folder that can be none are told of it, too', async (t) => {
  const config = await testConfig(t, { AUDIOWAVE_DATA: '/proc/audiowave' });
  await assert.rejects(openAccounts(config, recordedLog()), (error) => hasCode(error, 'config.invalid'));
});

test('a data folder that is not there is made, for its owner only', async (t) => {
  const folder = join(await tempFolder(t), 'a', 'b');
  await runHost(t, await testConfig(t, { AUDIOWAVE_DATA: folder }), ['notification']);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('.')),
    [],
  );
});

test('a URL whose scheme nobody speaks is refused with the schemes that are known', async (t) => {
  const cases = {
    USERS_URL: ['postgres://u:secret@db/auth', 'sqlite:'],
    CONVERSIONS_URL: ['postgres://u:secret@db/x', 'sqlite:'],
    VIDEOS_URL: ['s3://secret', 'file:'],
    MP3S_URL: ['/srv/secret', 'file:'],
    BROKER_URL: ['mqtt://u:secret@mq', 'sqlite:'],
    MAIL_URL: ['constructor:secret', 'outbox:'],
  };
  for (const [setting, [url = '', scheme]] of Object.entries(cases)) {
    const [code, message] = await startError(await testConfig(t, { JWT_SECRET: 'x', [setting]: url }));
    assert.equal(code, 'config.invalid');
    assert.ok(message.startsWith(`${setting} must begin with ${String(scheme)}`), message);
    assert.ok(!message.includes('secret'), message);
  }
});

test('what a role lacks in a cluster is told at once, a line for each setting', async (t) => {
  const lacks = async (roles: readonly RoleName[], env: Environment = {}): Promise<readonly string[]> => {
    const config = await testConfig(t, { AUDIOWAVE_PROFILE: 'distributed', ...env });
    const [code, message] = await startError(config, roles);
    assert.equal(code, 'config.invalid', message);
    return message.split('\n').map((line) => /^Not set: ([A-Z_]+)/.exec(line)?.[1] ?? line);
  };
  assert.deepEqual(await lacks(ROLE_NAMES), ['USERS_URL', 'JWT_SECRET', 'MAIL_URL']);
  assert.deepEqual(await lacks(['auth']), ['USERS_URL', 'JWT_SECRET']);
  assert.deepEqual(await lacks(['notification', 'converter']), ['MAIL_URL']);
  const server = { USERS_URL: 'mysql://u:secret@db/auth' };
  assert.deepEqual(await lacks(['auth'], server), ['JWT_SECRET']);
  assert.deepEqual(await lacks(['gateway'], { ...server, AUDIOWAVE_PROFILE: 'embedded' }), ['JWT_SECRET']);
});

test('a URL of ours wins over the place in the data folder', async (t) => {
  const other = await tempFolder(t);
  for (const url of [`sqlite:${other}/a.sqlite`, `sqlite://${other}/b.sqlite`]) {
    const config = await testConfig(t, { USERS_URL: url });
    const accounts = await openAccounts(config, recordedLog());
    await accounts.add('ann@example.com', 'long enough', 'user');
    await accounts.close();
    const again = await openAccounts(config, recordedLog());
    t.after(() => again.close());
    assert.equal((await again.list()).length, 1);
  }
});
