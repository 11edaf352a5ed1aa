import { createSecretKey, type KeyObject } from 'node:crypto';
import { SignJWT, jwtVerify, type JWTPayload } from 'jose';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Claims, User, UserRole } from '../../domain/user.ts';

export interface TokensOptions {
  /**
   * The HS256 key, as UTF-8. One byte is enough, though RFC 7518, 3.2 wants 32: installations of the family run with
   * words as short as `sarcasm`, and their tokens must stay good.
   */
  readonly secret: string;
  /** How long a token is good, in milliseconds. */
  readonly ttlMs: number;
  readonly now?: () => number;
}

/** Signs and reads the family's tokens (drop-in contract, "Auth"). */
export class Tokens {
  readonly #key: KeyObject;
  readonly #ttlMs: number;
  readonly #now: () => number;

  /** `config.invalid` where the secret is empty. */
  constructor(options: TokensOptions) {
    if (options.secret === '') throw new AudiowaveError('config.invalid', 'JWT_SECRET must not be empty.');
    this.#key = createSecretKey(options.secret, 'utf8');
    this.#ttlMs = options.ttlMs;
    this.#now = options.now ?? Date.now;
  }

  /** A token of the account. Its `admin` claim is true for everybody: it means "may use the service". */
  async sign(user: Pick<User, 'email' | 'role'>): Promise<string> {
    const nowMs = this.#now();
    return await new SignJWT({ username: user.email, admin: true, role: user.role })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuedAt(Math.floor(nowMs / 1000))
      .setExpirationTime(Math.floor((nowMs + this.#ttlMs) / 1000))
      .sign(this.#key);
  }

  /**
   * The claims of a token that was signed with the same secret, by whichever implementation, and that has not
   * expired. `auth.invalid-token` otherwise; a token without `exp` would be good for ever, and is refused.
   */
  async verify(token: string): Promise<Claims> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        requiredClaims: ['exp'],
        currentDate: new Date(this.#now()),
      });
      return readClaims(payload);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new AudiowaveError('auth.invalid-token', undefined, { cause: error, detail });
    }
  }
}

function readClaims(payload: JWTPayload): Claims {
  const { username, admin = false, exp, iat = 0, role } = payload;
  if (typeof username !== 'string' || username === '') throw new Error('username is no string');
  if (typeof admin !== 'boolean') throw new Error('admin is no boolean');
  if (exp === undefined) throw new Error('exp is absent');
  return { username, admin, exp, iat, ...(isUserRole(role) ? { role } : {}) };
}

function isUserRole(role: unknown): role is UserRole {
  return role === 'user' || role === 'admin';
}
