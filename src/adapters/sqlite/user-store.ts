import { randomUUID } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { AudiowaveError } from '../../domain/errors.ts';
import { emailKey, type User, type UserRole } from '../../domain/user.ts';
import type { UserStore } from '../../ports/user-store.ts';
import { openDatabase } from './database.ts';
import { answer, opening } from './store-errors.ts';

const MIGRATIONS = [
  `CREATE TABLE user (
     id TEXT PRIMARY KEY,
     email TEXT NOT NULL,
     email_key TEXT NOT NULL UNIQUE,
     password TEXT NOT NULL,
     role TEXT NOT NULL,
     created_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID`,
];

interface UserRow {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly role: UserRole;
  readonly created_at: number;
}

const COLUMNS = 'id, email, password, role, created_at';

/** Accounts in one SQLite file, which several processes may open at the same time. */
export class SqliteUserStore implements UserStore {
  readonly #database: DatabaseSync;
  readonly #add: StatementSync;
  readonly #find: StatementSync;
  readonly #list: StatementSync;
  readonly #remove: StatementSync;
  readonly #replacePassword: StatementSync;
  readonly #check: StatementSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
    this.#add = database.prepare(
      `INSERT INTO user (id, email, email_key, password, role, created_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (email_key) DO NOTHING`,
    );
    this.#find = database.prepare(`SELECT ${COLUMNS} FROM user WHERE email_key = ?`);
    this.#list = database.prepare(`SELECT ${COLUMNS} FROM user ORDER BY email_key`);
    this.#remove = database.prepare('DELETE FROM user WHERE email_key = ?');
    this.#replacePassword = database.prepare(
      'UPDATE user SET password = ? WHERE email_key = ? AND password = ?',
    );
    this.#check = database.prepare('SELECT 1 FROM user LIMIT 1');
  }

  /** Opens the file at `path`, or makes it. Throws `store.unavailable` or `store.full`. */
  static open(path: string): SqliteUserStore {
    return opening(() => new SqliteUserStore(openDatabase(path, MIGRATIONS)));
  }

  add(account: {
    readonly email: string;
    readonly password: string;
    readonly role: UserRole;
  }): Promise<User> {
    return answer(() => {
      const { email, password, role } = account;
      const user: User = { id: randomUUID(), email, password, role, createdAt: Date.now() };
      const { changes } = this.#add.run(user.id, email, emailKey(email), password, role, user.createdAt);
      if (changes === 0) throw new AudiowaveError('user.exists');
      return user;
    });
  }

  findByEmail(email: string): Promise<User | undefined> {
    return answer(() => {
      const row = this.#find.get(emailKey(email)) as UserRow | undefined;
      return row === undefined ? undefined : userOf(row);
    });
  }

  list(): Promise<readonly User[]> {
    return answer(() => (this.#list.all() as unknown as UserRow[]).map(userOf));
  }

  remove(email: string): Promise<boolean> {
    return answer(() => this.#remove.run(emailKey(email)).changes === 1);
  }

  replacePassword(email: string, oldPassword: string, newPassword: string): Promise<boolean> {
    return answer(() => this.#replacePassword.run(newPassword, emailKey(email), oldPassword).changes === 1);
  }

  check(): Promise<void> {
    return answer(() => void this.#check.get());
  }

  /** Harmless to call twice. */
  close(): Promise<void> {
    return answer(() => {
      if (this.#database.isOpen) this.#database.close();
    });
  }
}

function userOf(row: UserRow): User {
  const { id, email, password, role } = row;
  return { id, email, password, role, createdAt: row.created_at };
}
