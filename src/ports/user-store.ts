import type { User, UserRole } from '../domain/user.ts';

/**
 * Keeps accounts. Promises, each with a test in `tests/contracts/user-store.contract.ts`:
 * - an e-mail address is taken once, in any letter case, though two add() run at the same time: `user.exists`;
 * - look-ups match in any letter case; the address is kept as it was written;
 * - the password is kept and given back as it is: a PHC string, or another implementation's plain text;
 * - replacePassword() is a compare-and-set: it writes only where the old password is still there;
 * - what has resolved is durable, and another process that shares the store sees it.
 */
export interface UserStore {
  add(user: { readonly email: string; readonly password: string; readonly role: UserRole }): Promise<User>;
  findByEmail(email: string): Promise<User | undefined>;
  /** All accounts, by e-mail address. */
  list(): Promise<readonly User[]>;
  /** True where there was one. */
  remove(email: string): Promise<boolean>;
  /** True where the account has `oldPassword` and now has the new one. */
  replacePassword(email: string, oldPassword: string, newPassword: string): Promise<boolean>;
  /** Resolves where the store answers; `store.unavailable` otherwise. */
  check(): Promise<void>;
  close(): Promise<void>;
}
