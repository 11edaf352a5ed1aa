import { AudiowaveError } from '../../domain/errors.ts';
import type { Claims } from '../../domain/user.ts';
import type { AuthApi, Credentials } from '../../ports/auth-api.ts';
import type { Logger } from '../../ports/logger.ts';
import {
  isTokenShaped,
  loginFailure,
  readAccount,
  readClaims,
  readToken,
  registrationFailure,
  validationFailure,
} from './auth-answers.ts';
import { AuthServer, type Answer } from './auth-server.ts';
import { ClaimsCache } from './claims-cache.ts';

/** A hash waits for its turn, and a database that hangs costs auth 5 s: the good login behind it shall still arrive. */
const LOGIN_DEADLINE_MS = 8_000;
const VALIDATE_DEADLINE_MS = 5_000;
const CHECK_DEADLINE_MS = 5_000;

/**
 * Auth in another process, asked over HTTP: `audiowave serve auth`, or the auth of another implementation that keeps
 * the drop-in contract. One that has no registration of ours answers `auth.registration-closed`. Good tokens are
 * remembered for some seconds ({@link ClaimsCache}). The client's address goes along as X-Forwarded-For, which auth
 * believes where it trusts this process (`TRUSTED_PROXIES` there).
 */
export class HttpAuthApi implements AuthApi {
  readonly #server: AuthServer;
  readonly #claims = new ClaimsCache();

  private constructor(server: AuthServer) {
    this.#server = server;
  }

  /** `url` is `http://auth:5000` or the like; `config.invalid` otherwise. The server need not be there yet. */
  static open(url: string, { log }: { readonly log: Logger }): HttpAuthApi {
    return new HttpAuthApi(new AuthServer(url, log));
  }

  async login({ email, password, clientAddress }: Credentials, signal?: AbortSignal): Promise<string> {
    // A colon ends the name in Basic credentials (RFC 7617, 2), so nobody can log in by such an address.
    if (email.includes(':')) throw new AudiowaveError('auth.invalid-credentials');
    const pair = Buffer.from(`${email}:${password}`, 'utf8').toString('base64');
    const answer = await this.#server.ask(
      {
        method: 'POST',
        path: '/login',
        headers: { authorization: `Basic ${pair}`, 'x-forwarded-for': clientAddress },
        deadlineMs: LOGIN_DEADLINE_MS,
        isRepeatable: true,
      },
      signal,
    );
    return this.#read(answer, readToken, loginFailure);
  }

  async validate(token: string, signal?: AbortSignal): Promise<Claims> {
    signal?.throwIfAborted();
    // The original crashes on what is no token, and a header must not carry just anything.
    if (!isTokenShaped(token)) throw new AudiowaveError('auth.invalid-token');
    const remembered = this.#claims.get(token);
    if (remembered !== undefined) return remembered;
    const answer = await this.#server.ask(
      {
        method: 'POST',
        path: '/validate',
        headers: { authorization: `Bearer ${token}` },
        deadlineMs: VALIDATE_DEADLINE_MS,
        isRepeatable: true,
      },
      signal,
    );
    const claims = this.#read(answer, readClaims, validationFailure);
    this.#claims.put(token, claims);
    return claims;
  }

  async register(
    { email, password, clientAddress }: Credentials,
    signal?: AbortSignal,
  ): ReturnType<AuthApi['register']> {
    const answer = await this.#server.ask(
      {
        method: 'POST',
        path: '/api/v1/users',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': clientAddress },
        body: JSON.stringify({ email, password }),
        deadlineMs: LOGIN_DEADLINE_MS,
        // Asked again after a lost answer, it would say that the address is taken: by itself.
        isRepeatable: false,
      },
      signal,
    );
    return this.#read(answer, readAccount, registrationFailure);
  }

  /** Whether auth answers and is ready; its `store.unavailable` names where it is, and what auth waits for. */
  async check(): Promise<void> {
    const question = {
      method: 'GET',
      path: '/readyz',
      deadlineMs: CHECK_DEADLINE_MS,
      isRepeatable: true,
    } as const;
    try {
      const answer = await this.#server.ask(question);
      // Another implementation has no probes and answers 404: it answers.
      if (answer.status >= 500) throw this.#server.unavailable(notReady(answer));
      this.#server.isOfUse();
    } catch (error) {
      const { detail } = error as AudiowaveError;
      throw detail === undefined ? error : new AudiowaveError('store.unavailable', detail, { cause: error });
    }
  }

  /** Within about 2 s; harmless twice. */
  async close(): Promise<void> {
    this.#claims.clear();
    await this.#server.close();
  }

  #read<T>(
    answer: Answer,
    read: (answer: Answer) => T | undefined,
    failure: (answer: Answer) => AudiowaveError | undefined,
  ): T {
    const isGood = answer.status >= 200 && answer.status < 300;
    const outcome = isGood ? read(answer) : failure(answer);
    if (outcome !== undefined) this.#server.isOfUse();
    if (outcome instanceof AudiowaveError) throw outcome;
    if (outcome !== undefined) return outcome;
    if (answer.status === 503 && answer.retryAfterSeconds !== undefined) {
      throw new AudiowaveError('auth.busy', undefined, { retryAfterSeconds: answer.retryAfterSeconds });
    }
    throw this.#server.unavailable(
      isGood ? 'answered something that is not of the drop-in contract' : `answered ${String(answer.status)}`,
    );
  }
}

/** The names of the checks that fail there; their messages stay in auth's own answer. */
function notReady({ status, text }: Answer): string {
  try {
    const { checks } = JSON.parse(text) as { checks: { name: string; ok: boolean }[] };
    const names = checks.filter((check) => !check.ok).map((check) => check.name);
    return `not ready: ${names.join(', ')}`;
  } catch {
    return `answered ${String(status)}`;
  }
}
