import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpAuthApi } from '../../../src/adapters/http/auth-api.ts';
import { runHost, testConfig } from '../../support/hosts.ts';
import { recordedLog } from '../../support/recorded-log.ts';

const ANN = { email: 'ann@example.com', password: 'long enough', clientAddress: '198.51.100.1' };

test('an auth alone that is told of no proxies counts the clients of a gateway one by one', async (t) => {
  const config = await testConfig(t, {
    BOOTSTRAP_ADMIN_EMAIL: ANN.email,
    BOOTSTRAP_ADMIN_PASSWORD: ANN.password,
  });
  const auth = await runHost(t, config, ['auth']);
  const gateway = HttpAuthApi.open(auth.url ?? '', { log: recordedLog() });
  t.after(() => gateway.close());
  for (let n = 0; n < 10; n += 1) {
    await assert.rejects(gateway.login({ ...ANN, password: 'wrong' }), { code: 'auth.invalid-credentials' });
  }
  await assert.rejects(gateway.login(ANN), { code: 'auth.too-many-attempts' });
  assert.ok(await gateway.login({ ...ANN, clientAddress: '198.51.100.2' }), 'nobody else is locked out');
  assert.ok(await gateway.login({ ...ANN, clientAddress: '192.168.1.7' }), 'nor one of a private network');
});
