import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HttpAuthApi } from '../../../src/adapters/http/auth-api.ts';
import { basic, post } from '../../support/auth-server.ts';
import { eventually } from '../../support/eventually.ts';
import { readyz, runHost, testConfig } from '../../support/hosts.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { startMariaDb, type MariaDb } from '../../support/servers/mariadb.ts';

// Auth alone, whose database comes later, goes, and comes back.

let mariadb: MariaDb;
before(async () => {
  mariadb = await startMariaDb();
});
after(() => mariadb.stop());

const ROOT = { email: 'root@example.com', password: 'long enough', clientAddress: '192.0.2.1' };

test('auth starts while MySQL is away, says so, and makes the first account when it comes', async (t) => {
  const url = await mariadb.database();
  await mariadb.kill();
  const config = await testConfig(t, {
    USERS_URL: url,
    JWT_SECRET: 'sarcasm',
    BOOTSTRAP_ADMIN_EMAIL: ROOT.email,
    BOOTSTRAP_ADMIN_PASSWORD: ROOT.password,
    REGISTRATION: 'open',
  });
  const auth = await runHost(t, config, ['auth']);
  const authUrl = auth.url ?? '';
  const red = await readyz(authUrl);
  assert.equal(red.status, 503);
  assert.deepEqual(
    red.failing.map(([name]) => name),
    ['roles', 'users'],
  );
  assert.match(red.failing[1]?.[1] ?? '', /ECONNREFUSED.*mysql:\/\/127\.0\.0\.1/);
  const login = { authorization: basic(ROOT.email, ROOT.password) };
  const refused = await post(`${authUrl}/login`, login);
  assert.deepEqual([refused.status, refused.text], [500, 'internal server error']);
  const gatewaysView = HttpAuthApi.open(authUrl, { log: recordedLog() });
  t.after(() => gatewaysView.close());
  await assert.rejects(gatewaysView.login(ROOT), { code: 'store.unavailable' });
  await assert.rejects(gatewaysView.register({ ...ROOT, email: 'ann@example.com' }), {
    code: 'store.unavailable',
  });
  await assert.rejects(gatewaysView.check(), {
    code: 'store.unavailable',
    message: /not ready: roles, users/,
  });

  await mariadb.restart();
  await eventually('auth is ready', async () => (await readyz(authUrl)).status === 200);
  const claims = await gatewaysView.validate(await gatewaysView.login(ROOT));
  assert.deepEqual([claims.username, claims.role], [ROOT.email, 'admin']);
  await gatewaysView.check();

  await mariadb.kill();
  assert.equal((await post(`${authUrl}/login`, login)).status, 500);
  assert.equal((await readyz(authUrl)).status, 503);
  await mariadb.restart();
  assert.equal((await post(`${authUrl}/login`, login)).status, 200);
  assert.equal((await readyz(authUrl)).status, 200);
  assert.ok(!JSON.stringify(auth.log.entries).includes(mariadb.password), 'no secret in the log');
});

test('two auth processes that start at the same time on an empty database make one first account', async (t) => {
  const url = await mariadb.database();
  const config = await testConfig(t, {
    USERS_URL: url,
    JWT_SECRET: 'sarcasm',
    BOOTSTRAP_ADMIN_EMAIL: ROOT.email,
    BOOTSTRAP_ADMIN_PASSWORD: ROOT.password,
  });
  const hosts = await Promise.all([runHost(t, config, ['auth']), runHost(t, config, ['auth'])]);
  for (const host of hosts) {
    await eventually('auth is ready', async () => (await readyz(host.url)).status === 200);
    const login = await post(`${host.url ?? ''}/login`, { authorization: basic(ROOT.email, ROOT.password) });
    assert.equal(login.status, 200);
  }
});
