import type { Claims, User } from '../domain/user.ts';

export interface Credentials {
  readonly email: string;
  readonly password: string;
  /** Address of the client, for the limit on attempts. */
  readonly clientAddress: string;
}

/**
 * What the gateway asks of auth. Promises, each with a test in `tests/contracts/auth-api.contract.ts`:
 * - login() gives a token (HS256, drop-in contract, "Auth") or fails with `auth.invalid-credentials`, which an unknown
 *   address and a wrong password cause alike and in the same time; `auth.too-many-attempts` with retryAfterSeconds;
 * - validate() gives the claims of a good token, also of one that another implementation signed with the same secret;
 *   `auth.invalid-token` otherwise;
 * - register() makes an account where that is open: `auth.registration-closed`, `user.exists`, `user.invalid-email`, `user.weak-password`;
 * - `store.unavailable` where auth does not answer.
 */
export interface AuthApi {
  login(credentials: Credentials, signal?: AbortSignal): Promise<string>;
  validate(token: string, signal?: AbortSignal): Promise<Claims>;
  register(
    credentials: Credentials,
    signal?: AbortSignal,
  ): Promise<Pick<User, 'id' | 'email' | 'role' | 'createdAt'>>;
  check(): Promise<void>;
  close(): Promise<void>;
}
