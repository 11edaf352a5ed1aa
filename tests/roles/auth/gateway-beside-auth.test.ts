import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { basic, post } from '../../support/auth-server.ts';
import { readyz, runHost, testConfig } from '../../support/hosts.ts';
import { startMariaDb, type MariaDb } from '../../support/servers/mariadb.ts';

let mariadb: MariaDb;
before(async () => {
  mariadb = await startMariaDb();
});
after(() => mariadb.stop());

test('a gateway and an auth of their own processes register, log in, and tell what is away', async (t) => {
  const users = (await mariadb.database()).replace('mysql:', 'mariadb:');
  const open = { REGISTRATION: 'open', JWT_SECRET: 'sarcasm' };
  const auth = await runHost(t, await testConfig(t, { ...open, USERS_URL: users }), ['auth']);
  const config = await testConfig(t, { REGISTRATION: 'open', AUTH_URL: auth.url });
  const { url = '' } = await runHost(t, config, ['gateway']);
  assert.equal((await readyz(url)).status, 200);

  const account = JSON.stringify({ email: 'ann@example.com', password: 'long enough' });
  const json = { 'content-type': 'application/json' };
  assert.equal((await post(`${url}/api/v1/users`, json, account)).status, 201);
  const again = await post(`${url}/api/v1/users`, json, account);
  assert.deepEqual([again.status, (JSON.parse(again.text) as { code: string }).code], [409, 'user.exists']);
  const good = { authorization: basic('Ann@example.com', 'long enough') };
  const login = await post(`${url}/login`, good);
  assert.equal(login.status, 200);
  const me = await fetch(`${url}/api/v1/users/me`, { headers: { authorization: `Bearer ${login.text}` } });
  assert.deepEqual(await me.json(), { email: 'ann@example.com', role: 'user' });
  const wrong = await post(`${url}/login`, { authorization: basic('ann@example.com', 'x') });
  assert.deepEqual([wrong.status, wrong.text], [401, 'invalid credentials']);

  await mariadb.kill();
  assert.equal((await post(`${url}/login`, good)).status, 500);
  assert.match((await readyz(url)).failing[0]?.[1] ?? '', /^auth: not ready: users/);
  await mariadb.restart();
  assert.equal((await post(`${url}/login`, good)).status, 200);
  assert.equal((await readyz(url)).status, 200);
});
