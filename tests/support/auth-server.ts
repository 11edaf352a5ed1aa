import type { TestContext } from 'node:test';
import { MemoryUserStore } from '../../src/adapters/memory/user-store.ts';
import type { Check } from '../../src/ports/role.ts';
import { AuthService, type AuthServiceOptions } from '../../src/services/auth/auth-service.ts';
import { Passwords } from '../../src/services/auth/passwords.ts';
import { startAuthServer, type AuthServerOptions } from '../../src/services/auth/server.ts';
import { countedArgon2 } from './counted-argon2.ts';
import { recordedLog } from './recorded-log.ts';

/** Auth alone, on a free port, with the accounts of a test. */
export interface RunningAuth {
  readonly url: string;
  readonly users: MemoryUserStore;
  readonly auth: AuthService;
  readonly log: ReturnType<typeof recordedLog>;
  readonly checks: Check[];
}

export const SECRET = 'sarcasm';

/** Starts auth with one account of the original: `georgio@email.com`, password `Admin123` in plain text. */
export async function runAuth(
  t: TestContext,
  options: Partial<AuthServerOptions> & Partial<AuthServiceOptions> = {},
): Promise<RunningAuth> {
  const users = new MemoryUserStore();
  await users.add({ email: 'georgio@email.com', password: 'Admin123', role: 'user' });
  const log = recordedLog();
  const checks: Check[] = [];
  const auth = new AuthService({
    users,
    secret: SECRET,
    registration: 'closed',
    rehash: true,
    tokenTtlMs: 86_400_000,
    passwords: new Passwords({ argon2: countedArgon2() }),
    log,
    ...options,
  });
  const role = await startAuthServer(
    {
      auth,
      readiness: () => Promise.resolve({ ready: checks.every((check) => check.ok), checks }),
      log,
    },
    { host: '127.0.0.1', port: 0, trustedProxies: [], loginResponse: 'text', ...options },
  );
  t.after(async () => {
    await role.stop(1000);
    await auth.close();
    await users.close();
  });
  return { url: role.url ?? '', users, auth, log, checks };
}

/** The header of `curl -u email:password`. */
export function basic(email: string, password: string): string {
  return `Basic ${Buffer.from(`${email}:${password}`).toString('base64')}`;
}

/** The text answer of one POST. */
export async function post(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): Promise<{ status: number; type: string | null; text: string; headers: Headers }> {
  const response = await fetch(url, { method: 'POST', headers, ...(body === undefined ? {} : { body }) });
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    text: await response.text(),
    headers: response.headers,
  };
}
