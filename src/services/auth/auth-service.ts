import { AudiowaveError, asAudiowaveError } from '../../domain/errors.ts';
import type { Claims, User } from '../../domain/user.ts';
import type { AuthApi, Credentials } from '../../ports/auth-api.ts';
import type { Logger } from '../../ports/logger.ts';
import type { UserStore } from '../../ports/user-store.ts';
import { addUser, bootstrapAdmin, type Account } from './accounts.ts';
import { DEFAULT_LOGIN_LIMITS, LoginThrottle, type LoginLimits } from './login-limits.ts';
import { isPlainText, Passwords } from './passwords.ts';
import { Tokens } from './tokens.ts';

export interface AuthServiceOptions {
  /** Stays the caller's: close() leaves it open. */
  readonly users: UserStore;
  /** The key of the tokens; never empty. */
  readonly secret: string;
  readonly registration: 'open' | 'closed';
  /** Whether the first good login of a plain-text row writes its hash (`REHASH`). */
  readonly rehash: boolean;
  /** How long a token is good. */
  readonly tokenTtlMs: number;
  readonly limits?: LoginLimits;
  readonly passwords?: Passwords;
  readonly now?: () => number;
  readonly log: Logger;
}

/** The auth service itself; its promises stand at {@link AuthApi}. */
export class AuthService implements AuthApi {
  readonly #users: UserStore;
  readonly #passwords: Passwords;
  readonly #tokens: Tokens;
  readonly #throttle: LoginThrottle;
  readonly #registration: 'open' | 'closed';
  readonly #rehash: boolean;
  readonly #log: Logger;

  constructor(options: AuthServiceOptions) {
    this.#users = options.users;
    this.#passwords = options.passwords ?? new Passwords();
    this.#tokens = new Tokens({
      secret: options.secret,
      ttlMs: options.tokenTtlMs,
      ...(options.now === undefined ? {} : { now: options.now }),
    });
    this.#throttle = new LoginThrottle(options.limits ?? DEFAULT_LOGIN_LIMITS);
    this.#registration = options.registration;
    this.#rehash = options.rehash;
    this.#log = options.log;
  }

  async login(credentials: Credentials, signal?: AbortSignal): Promise<string> {
    const { email, password, clientAddress } = credentials;
    const attempt = this.#throttle.attempt(email, clientAddress);
    await attempt.check();
    const user = await this.#users.findByEmail(email);
    // Checked again when the turn has come: guesses that wait side by side shall not all pass the first check.
    const isGood = await this.#passwords.verify(password, user?.password, {
      beforeHash: () => attempt.check(),
      ...(signal === undefined ? {} : { signal }),
    });
    if (user === undefined || !isGood) {
      await attempt.failed();
      // The address that was typed may be a password in the wrong field: only that of a real account is logged.
      this.#log.info({ account: user?.email, clientAddress }, 'login refused');
      throw new AudiowaveError('auth.invalid-credentials');
    }
    await attempt.succeeded();
    if (this.#rehash && isPlainText(user.password)) await this.#replacePlainText(user, password);
    return await this.#tokens.sign(user);
  }

  async validate(token: string, signal?: AbortSignal): Promise<Claims> {
    signal?.throwIfAborted();
    return await this.#tokens.verify(token);
  }

  async register(credentials: Credentials, signal?: AbortSignal): Promise<Account> {
    if (this.#registration !== 'open') throw new AudiowaveError('auth.registration-closed');
    await this.#throttle.countRegistration(credentials.clientAddress);
    const account = await addUser(
      { users: this.#users, passwords: this.#passwords },
      { email: credentials.email, password: credentials.password, role: 'user' },
      signal,
    );
    this.#log.info({ account: account.email }, 'account made');
    return account;
  }

  /** Makes an account of role `admin` where there is none of that name; true where one was made. */
  async bootstrapAdmin(email: string, password: string): Promise<boolean> {
    const isNew = await bootstrapAdmin({ users: this.#users, passwords: this.#passwords }, email, password);
    if (isNew) this.#log.info({ account: email }, 'administrator made');
    return isNew;
  }

  async check(): Promise<void> {
    await this.#users.check();
  }

  /** Forgets the counted attempts; the user store stays open. */
  async close(): Promise<void> {
    await this.#throttle.close();
  }

  /** A login that is good stays good, whatever comes of the rehash: the next one tries again. */
  async #replacePlainText(user: User, password: string): Promise<void> {
    try {
      const hashed = await this.#passwords.hash(password);
      const isDone = await this.#users.replacePassword(user.email, user.password, hashed);
      if (isDone) this.#log.info({ account: user.email }, 'plain-text password hashed');
    } catch (error) {
      const { code, detail } = asAudiowaveError(error);
      this.#log.warn({ account: user.email, code, detail }, 'plain-text password not hashed yet');
    }
  }
}
