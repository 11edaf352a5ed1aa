import type { TestContext } from 'node:test';
import { MemoryUserStore } from '../../src/adapters/memory/user-store.ts';
import { AuthService } from '../../src/services/auth/auth-service.ts';
import { DEFAULT_LOGIN_LIMITS } from '../../src/services/auth/login-limits.ts';
import { Passwords } from '../../src/services/auth/passwords.ts';
import { countedArgon2 } from '../support/counted-argon2.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { authApiContract, type OpenAuthApi } from './auth-api.contract.ts';

/** The family's documented secret: shorter than what jose asks of others. */
const SECRET = 'sarcasm';

const openService: OpenAuthApi = (t: TestContext, { registration, failures }) => {
  const users = new MemoryUserStore();
  const argon2 = countedArgon2();
  const api = new AuthService({
    users,
    secret: SECRET,
    registration,
    rehash: true,
    tokenTtlMs: 86_400_000,
    limits: { ...DEFAULT_LOGIN_LIMITS, failuresPerAccountAndAddress: failures },
    passwords: new Passwords({ argon2 }),
    log: recordedLog(),
  });
  t.after(async () => {
    await api.close();
    await users.close();
  });
  return Promise.resolve({
    api,
    secret: SECRET,
    addRow: async (email, password) => {
      await users.add({ email, password, role: 'user' });
    },
    verifications: () => argon2.counts.verified,
    breakStore: () => users.close(),
  });
};

authApiContract('auth service', openService);
