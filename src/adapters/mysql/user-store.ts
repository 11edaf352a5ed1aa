import { randomBytes } from 'node:crypto';
import type { PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { AudiowaveError } from '../../domain/errors.ts';
import type { User, UserRole } from '../../domain/user.ts';
import type { UserStore } from '../../ports/user-store.ts';
import { explained, MySqlClient, type ClientOptions } from './client.ts';
import { comparable, migrate } from './schema.ts';
import { troubleOf } from './server-errors.ts';
import { parseServerUrl } from './server-url.ts';

interface UserRow extends RowDataPacket {
  readonly id: number;
  readonly email: string;
  readonly password: string;
  readonly role: string;
  readonly createdAt: number;
  readonly addedBy: Buffer | null;
}

const SELECT = `SELECT id, email, password, audiowave_role AS role, audiowave_created_at AS createdAt,
  audiowave_added_by AS addedBy FROM \`user\``;
const IS_ACCOUNT = `audiowave_email = ${comparable('?')}`;
const INSERT = `INSERT INTO \`user\` (email, password, audiowave_role, audiowave_created_at, audiowave_added_by)
  VALUES (?, ?, ?, ?, ?)`;
// As bytes: the collation of the family's table takes `Secret` for `secret`.
const REPLACE = `UPDATE \`user\` SET password = ?
  WHERE ${IS_ACCOUNT} AND CAST(CONVERT(password USING utf8mb4) AS BINARY) = ?`;

type NewUser = Parameters<UserStore['add']>[0];

/**
 * Accounts in a MySQL or MariaDB database, in the table `user` of the drop-in contract, which other implementations may
 * read and write at the same time: their rows are accounts too, of role `user`, with createdAt 0.
 */
export class MySqlUserStore implements UserStore {
  readonly #client: MySqlClient;
  readonly #place: string;

  private constructor(client: MySqlClient, place: string) {
    this.#client = client;
    this.#place = place;
  }

  /**
   * `url` as {@link parseServerUrl} says; `config.invalid` otherwise. The server need not be there: the table is made
   * or fitted as soon as it answers, and every call fails with `store.unavailable` within 5 s until then.
   */
  static open(url: string, options: Pick<ClientOptions, 'log' | 'refusalHoldsMs'>): MySqlUserStore {
    const address = parseServerUrl(url);
    const { log } = options;
    const client = new MySqlClient({
      ...options,
      address,
      prepare: (connection) => migrate(connection, log),
    });
    return new MySqlUserStore(client, address.place);
  }

  async add(account: NewUser): Promise<User> {
    // One mark for all tries: a try whose answer was lost has made the row under it, or has not.
    const mark = randomBytes(16);
    const createdAt = Date.now();
    return await this.#client.run(async (connection) => {
      const { email, password, role } = account;
      try {
        const [{ insertId }] = await connection.execute<ResultSetHeader>(INSERT, [
          email,
          password,
          role,
          createdAt,
          mark,
        ]);
        return { id: String(insertId), email, password, role, createdAt };
      } catch (error) {
        if (troubleOf(error) !== 'duplicate') throw error;
        const row = await findRow(connection, email);
        if (row?.addedBy?.equals(mark) === true) return userOf(row);
        throw new AudiowaveError('user.exists', undefined, { cause: error });
      }
    });
  }

  async findByEmail(email: string): Promise<User | undefined> {
    return await this.#client.run(async (connection) => {
      const row = await findRow(connection, email);
      return row === undefined ? undefined : userOf(row);
    });
  }

  async list(): Promise<readonly User[]> {
    return await this.#client.run(async (connection) => {
      const [rows] = await connection.execute<UserRow[]>(
        `${SELECT} WHERE audiowave_shadowed = 0 ORDER BY audiowave_email`,
      );
      return rows.map(userOf);
    });
  }

  async remove(email: string): Promise<boolean> {
    let seen: readonly number[] = [];
    return await this.#client.run(async (connection, isRepeat) => {
      // With the rows that the account shadows: none of them may become the account when it is gone.
      const [rows] = await connection.execute<UserRow[]>(
        `SELECT id FROM \`user\` WHERE ${IS_ACCOUNT} OR (audiowave_shadowed = 1 AND ${comparable('email')} = ${comparable('?')})`,
        [email, email],
      );
      // A first try whose answer was lost has removed what it saw, or leaves it to this one.
      if (rows.length === 0) return isRepeat && seen.length > 0;
      seen = rows.map(({ id }) => id);
      const [{ affectedRows }] = await connection.execute<ResultSetHeader>(
        `DELETE FROM \`user\` WHERE id IN (${seen.map(() => '?').join(', ')})`,
        [...seen],
      );
      return affectedRows > 0;
    });
  }

  async replacePassword(email: string, oldPassword: string, newPassword: string): Promise<boolean> {
    return await this.#client.run(async (connection, isRepeat) => {
      const [{ affectedRows }] = await connection.execute<ResultSetHeader>(REPLACE, [
        newPassword,
        email,
        Buffer.from(oldPassword, 'utf8'),
      ]);
      if (affectedRows > 0) return true;
      return isRepeat && (await findRow(connection, email))?.password === newPassword;
    });
  }

  /** The message of its `store.unavailable` says in one line what is wrong and where. */
  async check(): Promise<void> {
    try {
      await this.#client.run(async (connection) => {
        await connection.execute('SELECT id FROM `user` LIMIT 1');
      });
    } catch (error) {
      throw explained(error, this.#place);
    }
  }

  /** Within 2 s; harmless twice. */
  async close(): Promise<void> {
    await this.#client.close();
  }
}

async function findRow(connection: PoolConnection, email: string): Promise<UserRow | undefined> {
  const [rows] = await connection.execute<UserRow[]>(`${SELECT} WHERE ${IS_ACCOUNT}`, [email]);
  return rows[0];
}

function userOf(row: UserRow): User {
  const { id, email, password, role, createdAt } = row;
  return { id: String(id), email, password, role: roleOf(role), createdAt };
}

/** What somebody else wrote into the column gives no rights. */
function roleOf(text: string): UserRole {
  return text === 'admin' ? 'admin' : 'user';
}
