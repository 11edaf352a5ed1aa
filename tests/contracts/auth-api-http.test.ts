import type { TestContext } from 'node:test';
import { HttpAuthApi } from '../../src/adapters/http/auth-api.ts';
import { DEFAULT_LOGIN_LIMITS } from '../../src/services/auth/login-limits.ts';
import { Passwords } from '../../src/services/auth/passwords.ts';
import { runAuth, SECRET } from '../support/auth-server.ts';
import { countedArgon2 } from '../support/counted-argon2.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { authApiContract, type OpenAuthApi } from './auth-api.contract.ts';

const openHttp: OpenAuthApi = async (t: TestContext, { registration, failures }) => {
  const argon2 = countedArgon2();
  const { url, users, checks } = await runAuth(t, {
    registration,
    limits: { ...DEFAULT_LOGIN_LIMITS, failuresPerAccountAndAddress: failures },
    passwords: new Passwords({ argon2 }),
    // Without it, auth would take the gateway for the client.
    trustedProxies: ['127.0.0.1'],
  });
  const api = HttpAuthApi.open(url, { log: recordedLog() });
  t.after(() => api.close());
  return {
    api,
    secret: SECRET,
    addRow: async (email, password) => {
      await users.add({ email, password, role: 'user' });
    },
    verifications: () => argon2.counts.verified,
    breakStore: async () => {
      await users.close();
      checks.push({ name: 'users', ok: false, message: 'closed' });
    },
  };
};

authApiContract('http', openHttp);
