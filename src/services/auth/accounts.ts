import { AudiowaveError, hasCode } from '../../domain/errors.ts';
import { checkPassword, parseEmail, type User, type UserRole } from '../../domain/user.ts';
import type { UserStore } from '../../ports/user-store.ts';
import type { Passwords } from './passwords.ts';

/** An account without its password. */
export type Account = Pick<User, 'id' | 'email' | 'role' | 'createdAt'>;

/** Where accounts are kept, and how their passwords are hashed. */
export interface AccountsContext {
  readonly users: UserStore;
  readonly passwords: Passwords;
}

function withoutPassword(user: User): Account {
  return { id: user.id, email: user.email, role: user.role, createdAt: user.createdAt };
}

/** Makes an account. `user.invalid-email`, `user.weak-password`, `user.exists`, `auth.busy`. */
export async function addUser(
  { users, passwords }: AccountsContext,
  account: { readonly email: string; readonly password: string; readonly role: UserRole },
  signal?: AbortSignal,
): Promise<Account> {
  const email = parseEmail(account.email);
  checkPassword(account.password);
  // A hash costs; the store alone decides between two that add at the same time.
  if ((await users.findByEmail(email)) !== undefined) throw new AudiowaveError('user.exists');
  const password = await passwords.hash(account.password, signal);
  return withoutPassword(await users.add({ email, password, role: account.role }));
}

/** Gives an account a new password. `user.unknown`, `user.weak-password`. */
export async function setPassword(
  { users, passwords }: AccountsContext,
  email: string,
  newPassword: string,
): Promise<void> {
  checkPassword(newPassword);
  const hashed = await passwords.hash(newPassword);
  // Somebody else, a login that rehashes for example, may write in between: then once more on what is there now.
  for (let round = 0; round < 5; round++) {
    const user = await users.findByEmail(email);
    if (user === undefined) throw new AudiowaveError('user.unknown');
    if (await users.replacePassword(user.email, user.password, hashed)) return;
  }
  throw new AudiowaveError('store.unavailable', 'The account was changed by somebody else all the time.');
}

/** Removes an account. `user.unknown`. */
export async function removeUser({ users }: Pick<AccountsContext, 'users'>, email: string): Promise<void> {
  if (!(await users.remove(email))) throw new AudiowaveError('user.unknown');
}

/** All accounts, by e-mail address. */
export async function listUsers({ users }: Pick<AccountsContext, 'users'>): Promise<readonly Account[]> {
  return (await users.list()).map(withoutPassword);
}

/**
 * Makes an account of role `admin` where there is none of that name; an account that is there stays as it is. True
 * where one was made. Harmless when several processes do it at the same time.
 */
export async function bootstrapAdmin(
  context: AccountsContext,
  email: string,
  password: string,
): Promise<boolean> {
  // Looked at first, so that a password that is too weak by now does not stop a process whose account is there.
  if ((await context.users.findByEmail(parseEmail(email))) !== undefined) return false;
  try {
    await addUser(context, { email, password, role: 'admin' });
    return true;
  } catch (error) {
    if (hasCode(error, 'user.exists')) return false;
    throw error;
  }
}
