import type { Config } from '../config/config.ts';
import type { UserRole } from '../domain/user.ts';
import type { Logger } from '../ports/logger.ts';
import type { Account } from '../services/auth/accounts.ts';
import { explainStart } from './explain-start.ts';
import { PortSet } from './port-set.ts';

/** The accounts, for the command line; the server may run meanwhile. */
export interface Accounts {
  add(email: string, password: string, role: UserRole): Promise<Account>;
  setPassword(email: string, password: string): Promise<void>;
  remove(email: string): Promise<void>;
  list(): Promise<readonly Account[]>;
  close(): Promise<void>;
}

/** Opens the user-store that the settings name; `config.invalid` where its place can't be used. */
export async function openAccounts(config: Config, log: Logger): Promise<Accounts> {
  const [accounts, { Passwords }] = await Promise.all([
    import('../services/auth/accounts.ts'),
    import('../services/auth/passwords.ts'),
  ]);
  const ports = new PortSet(config, log);
  const users = await ports.users().catch((error: unknown) => {
    throw explainStart(error, config);
  });
  const context = { users, passwords: new Passwords() };
  return {
    add: (email, password, role) => accounts.addUser(context, { email, password, role }),
    setPassword: (email, password) => accounts.setPassword(context, email, password),
    remove: (email) => accounts.removeUser(context, email),
    list: () => accounts.listUsers(context),
    close: () => ports.close(),
  };
}
