import { randomUUID } from 'node:crypto';
import { AudiowaveError } from '../../domain/errors.ts';
import { emailKey, type User, type UserRole } from '../../domain/user.ts';
import type { UserStore } from '../../ports/user-store.ts';

/** Accounts of one process, gone with it; for tests. */
export class MemoryUserStore implements UserStore {
  readonly #users = new Map<string, User>();
  #open = true;

  async add(account: {
    readonly email: string;
    readonly password: string;
    readonly role: UserRole;
  }): Promise<User> {
    await this.check();
    const { email, password, role } = account;
    if (this.#users.has(emailKey(email))) throw new AudiowaveError('user.exists');
    const user: User = { id: randomUUID(), email, password, role, createdAt: Date.now() };
    this.#users.set(emailKey(email), user);
    return user;
  }

  async findByEmail(email: string): Promise<User | undefined> {
    await this.check();
    return this.#users.get(emailKey(email));
  }

  async list(): Promise<readonly User[]> {
    await this.check();
    const byKey = [...this.#users].sort(([a], [b]) => (a < b ? -1 : 1));
    return byKey.map(([, user]) => user);
  }

  async remove(email: string): Promise<boolean> {
    await this.check();
    return this.#users.delete(emailKey(email));
  }

  async replacePassword(email: string, oldPassword: string, newPassword: string): Promise<boolean> {
    await this.check();
    const user = this.#users.get(emailKey(email));
    if (user?.password !== oldPassword) return false;
    this.#users.set(emailKey(email), { ...user, password: newPassword });
    return true;
  }

  check(): Promise<void> {
    return this.#open ? Promise.resolve() : Promise.reject(new AudiowaveError('store.unavailable'));
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }
}
