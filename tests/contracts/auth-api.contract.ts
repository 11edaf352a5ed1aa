import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import type { AuthApi, Credentials } from '../../src/ports/auth-api.ts';
import { foreignClaims, foreignToken } from '../support/foreign-token.ts';

/** An auth under test, and what stands behind it. */
export interface OpenAuth {
  readonly api: AuthApi;
  /** The key of its tokens. */
  readonly secret: string;
  /** Writes a row as another implementation would: with the password in plain text. */
  readonly addRow: (email: string, password: string) => Promise<void>;
  /** How many hashes were verified so far: the measure of a login's time. */
  readonly verifications: () => number;
  /** From now on the user store does not answer. */
  readonly breakStore: () => Promise<void>;
}

/** `failures`: how many failed logins of one account from one address shall be allowed. */
export type OpenAuthApi = (
  t: TestContext,
  options: { readonly registration: 'open' | 'closed'; readonly failures: number },
) => Promise<OpenAuth>;

const ANN: Credentials = { email: 'ann@example.com', password: 'correct horse', clientAddress: '192.0.2.1' };

function failsWith(code: ErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    return true;
  };
}

/** The promises of {@link AuthApi}. */
export function authApiContract(name: string, open: OpenAuthApi): void {
  const start = (t: TestContext, registration: 'open' | 'closed' = 'open'): Promise<OpenAuth> =>
    open(t, { registration, failures: 3 });

  test(`${name}: a good login gives a token whose claims name the account`, async (t) => {
    const { api } = await start(t);
    await api.register(ANN);
    const before = Math.floor(Date.now() / 1000);
    const claims = await api.validate(await api.login(ANN));
    assert.equal(claims.username, ANN.email);
    assert.equal(claims.admin, true);
    assert.equal(claims.role, 'user');
    assert.ok(claims.iat >= before);
    assert.equal(claims.exp - claims.iat, 86_400);
  });

  test(`${name}: the address of a login matches in any letter case and the token has it as registered`, async (t) => {
    const { api } = await start(t);
    await api.register(ANN);
    const claims = await api.validate(await api.login({ ...ANN, email: 'ANN@Example.COM' }));
    assert.equal(claims.username, ANN.email);
  });

  test(`${name}: a password matches to the letter`, async (t) => {
    const { api } = await start(t);
    await api.register(ANN);
    await assert.rejects(
      api.login({ ...ANN, password: 'Correct horse' }),
      failsWith('auth.invalid-credentials'),
    );
  });

  test(`${name}: an unknown address and a wrong password fail alike and at the same cost`, async (t) => {
    const { api, addRow, verifications } = await start(t);
    await api.register(ANN);
    await addRow('bob@example.com', 'plain text');
    const cost = async (email: string): Promise<{ text: string; verified: number }> => {
      const before = verifications();
      const failure: unknown = await api.login({ ...ANN, email, password: 'wrong' }).catch((e: unknown) => e);
      failsWith('auth.invalid-credentials')(failure);
      return { text: String(failure), verified: verifications() - before };
    };
    const wrong = await cost(ANN.email);
    assert.equal(wrong.verified, 1);
    assert.deepEqual(await cost('nobody@example.com'), wrong);
    assert.deepEqual(await cost('bob@example.com'), wrong);
  });

  test(`${name}: a plain-text row of another implementation logs in`, async (t) => {
    const { api, addRow } = await start(t);
    await addRow('bob@example.com', 'Admin123');
    const bob = { ...ANN, email: 'bob@example.com', password: 'Admin123' };
    assert.equal((await api.validate(await api.login(bob))).username, bob.email);
    assert.equal((await api.validate(await api.login(bob))).username, bob.email);
    await assert.rejects(api.login({ ...bob, password: '' }), failsWith('auth.invalid-credentials'));
  });

  test(`${name}: too many failures of one account from one address are refused for a while`, async (t) => {
    const { api } = await start(t);
    await api.register(ANN);
    for (let i = 0; i < 3; i++) {
      await assert.rejects(api.login({ ...ANN, password: 'wrong' }), failsWith('auth.invalid-credentials'));
    }
    await assert.rejects(api.login(ANN), (error: unknown) => {
      assert.ok(hasCode(error, 'auth.too-many-attempts'));
      assert.ok((error.retryAfterSeconds ?? 0) > 0);
      return true;
    });
    assert.ok(await api.login({ ...ANN, clientAddress: '192.0.2.2' }), 'another address may go on');
  });

  test(`${name}: a good login forgets the failures before it`, async (t) => {
    const { api } = await start(t);
    await api.register(ANN);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 2; i++) await assert.rejects(api.login({ ...ANN, password: 'wrong' }));
      assert.ok(await api.login(ANN));
    }
  });

  test(`${name}: a token that another implementation signed with the same secret is good`, async (t) => {
    const { api, secret } = await start(t);
    const foreign = foreignClaims('carol@example.com');
    assert.deepEqual(await api.validate(foreignToken(secret, foreign)), foreign);
  });

  test(`${name}: a token that is broken, expired or signed with another secret is refused`, async (t) => {
    const { api, secret } = await start(t);
    const good = foreignClaims(ANN.email);
    const bad = [
      '',
      'x',
      'a.b.c',
      foreignToken('another secret', good),
      foreignToken(secret, { ...good, exp: good.iat - 1 }),
      foreignToken(secret, good).slice(0, -2),
      foreignToken(secret, good, { alg: 'none' }),
    ];
    for (const token of bad) await assert.rejects(api.validate(token), failsWith('auth.invalid-token'));
  });

  test(`${name}: an account that was registered is given back without its password`, async (t) => {
    const { api } = await start(t);
    const before = Date.now();
    const account = await api.register(ANN);
    assert.deepEqual(Object.keys(account).sort(), ['createdAt', 'email', 'id', 'role']);
    assert.equal(account.email, ANN.email);
    assert.equal(account.role, 'user');
    assert.ok(account.createdAt >= before && account.createdAt <= Date.now());
  });

  test(`${name}: an address is registered once, in any letter case, though two try at the same time`, async (t) => {
    const { api } = await start(t);
    const results = await Promise.allSettled([
      api.register(ANN),
      api.register({ ...ANN, email: 'ANN@example.com' }),
    ]);
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 1);
    failsWith('user.exists')(refused[0]?.reason);
    await assert.rejects(api.register(ANN), failsWith('user.exists'));
  });

  test(`${name}: an account needs an e-mail address and a password that is neither short nor endless`, async (t) => {
    const { api } = await start(t);
    await assert.rejects(api.register({ ...ANN, email: 'ann' }), failsWith('user.invalid-email'));
    await assert.rejects(api.register({ ...ANN, password: 'short' }), failsWith('user.weak-password'));
    await assert.rejects(
      api.register({ ...ANN, password: 'x'.repeat(257) }),
      failsWith('user.weak-password'),
    );
  });

  test(`${name}: nobody registers where registration is closed`, async (t) => {
    const { api } = await start(t, 'closed');
    await assert.rejects(api.register(ANN), failsWith('auth.registration-closed'));
    await assert.rejects(api.login(ANN), failsWith('auth.invalid-credentials'));
  });

  test(`${name}: a store that does not answer is told apart from wrong credentials, and costs no attempt`, async (t) => {
    const { api, breakStore } = await start(t);
    await api.register(ANN);
    await api.check();
    await breakStore();
    for (let i = 0; i < 5; i++) await assert.rejects(api.login(ANN), failsWith('store.unavailable'));
    await assert.rejects(api.register(ANN), failsWith('store.unavailable'));
    await assert.rejects(api.check(), failsWith('store.unavailable'));
  });
}
