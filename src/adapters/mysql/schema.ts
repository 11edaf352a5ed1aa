import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import type { Logger } from '../../ports/logger.ts';

/**
 * SQL of the form in which addresses are compared: small letters, whatever charset and collation `text` has. Both sides
 * of a comparison go through it, since two implementations of "small letters" differ in rare ones.
 */
export function comparable(text: string): string {
  return `LOWER(CONVERT(TRIM(${text}) USING utf8mb4) COLLATE utf8mb4_bin)`;
}

const KEY = comparable('email');

// The table of the drop-in contract, "MySQL", for where nobody has made it yet.
const CREATE = `CREATE TABLE IF NOT EXISTS \`user\` (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(255) NOT NULL UNIQUE,
  password VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`;

// Our columns bear our name, since descendants of the family may have a `role` or `created_at` of their own kind; and
// have defaults, since the family's INSERT names two columns only.
const PLAIN_COLUMNS: Readonly<Record<string, string>> = {
  audiowave_role: "VARCHAR(16) CHARACTER SET ascii NOT NULL DEFAULT 'user'",
  // Milliseconds since the epoch.
  audiowave_created_at: 'BIGINT NOT NULL DEFAULT 0',
  // Says which add() made the row, so that one whose answer was lost knows its own.
  audiowave_added_by: 'BINARY(16) NULL DEFAULT NULL',
  // 1: another row, an older one, has this address in other letter case; that one is the account.
  audiowave_shadowed: 'TINYINT NOT NULL DEFAULT 0',
};

// Computed by the server, so that rows which the family's own SQL inserts or changes have it too.
const KEY_COLUMN = `audiowave_email VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
  GENERATED ALWAYS AS (IF(audiowave_shadowed = 0, ${KEY}, NULL)) STORED`;

/** Seconds that one process waits for another that migrates. */
const LOCK_WAIT_SECONDS = 30;
const PASSWORD_WIDTH = 255;

interface Column extends RowDataPacket {
  readonly name: string;
  readonly width: number | null;
  readonly charset: string | null;
}

/**
 * Makes the table, or fits one that the family's init.sql made, with its rows: each step looks first whether it is
 * needed, so it may be broken off anywhere and done again, and one process at a time does it. Needs no rights beyond
 * those on the database. Rows that differ in letter case only stay all; the oldest of them is the account and the
 * others are named in the log.
 */
export async function migrate(connection: PoolConnection, log: Logger): Promise<void> {
  const columns = await readColumns(connection);
  // Looked at without the lock first: else every start would wait while some process migrates another table.
  if (missingSteps(columns).length === 0) return;
  log.info({}, 'making or fitting the user table; a big one takes a while');
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT GET_LOCK(LEFT(CONCAT('audiowave ', MD5(DATABASE())), 64), ${String(LOCK_WAIT_SECONDS)}) AS isOurs`,
  );
  if (rows[0]?.isOurs !== 1)
    throw new Error('another process has been migrating the user table for too long');
  try {
    for (;;) {
      const step = missingSteps(await readColumns(connection))[0];
      if (step === undefined) return;
      await step(connection, log);
    }
  } finally {
    await connection.query(`SELECT RELEASE_LOCK(LEFT(CONCAT('audiowave ', MD5(DATABASE())), 64))`);
  }
}

type Step = (connection: PoolConnection, log: Logger) => Promise<unknown>;

function missingSteps(columns: ReadonlyMap<string, Column>): Step[] {
  if (columns.size === 0) return [(connection) => connection.query(CREATE)];
  const steps: Step[] = [];
  const plain = Object.entries(PLAIN_COLUMNS).filter(([name]) => !columns.has(name));
  if (plain.length > 0) {
    const added = plain.map(([name, type]) => `ADD COLUMN ${name} ${type}`);
    steps.push((connection) => connection.query(`ALTER TABLE \`user\` ${added.join(', ')}`));
  }
  const password = columns.get('password');
  if (password?.width != null && password.width < PASSWORD_WIDTH) steps.push(widenPassword(password));
  if (!columns.has('audiowave_email')) steps.push(addKey);
  return steps;
}

async function readColumns(connection: PoolConnection): Promise<ReadonlyMap<string, Column>> {
  const [columns] = await connection.query<Column[]>(
    `SELECT COLUMN_NAME AS name, CHARACTER_MAXIMUM_LENGTH AS width, CHARACTER_SET_NAME AS charset
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'user'`,
  );
  return new Map(columns.map((column) => [column.name.toLowerCase(), column]));
}

/** A hash has about 100 characters, and descendants of the family made columns for less. */
function widenPassword({ charset }: Column): Step {
  const kept = charset === null || !/^\w+$/.test(charset) ? '' : ` CHARACTER SET ${charset}`;
  return (connection) =>
    connection.query(
      `ALTER TABLE \`user\` MODIFY password VARCHAR(${String(PASSWORD_WIDTH)})${kept} NOT NULL`,
    );
}

async function addKey(connection: PoolConnection, log: Logger): Promise<void> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT later.id AS id, oldest.id AS accountId FROM \`user\` AS later
     JOIN (SELECT MIN(id) AS id, ${KEY} AS email_key FROM \`user\` GROUP BY email_key HAVING COUNT(*) > 1) AS oldest
       ON ${comparable('later.email')} = oldest.email_key AND later.id > oldest.id
     ORDER BY later.id`,
  );
  for (const { id, accountId } of rows as { id: number; accountId: number }[]) {
    await connection.query('UPDATE `user` SET audiowave_shadowed = 1 WHERE id = ?', [id]);
    log.warn(
      { row: id, account: accountId },
      'two rows of the user table differ only in the letter case of their address; the older one is the account',
    );
  }
  await connection.query(
    `ALTER TABLE \`user\` ADD COLUMN ${KEY_COLUMN}, ADD UNIQUE KEY audiowave_email (audiowave_email)`,
  );
}
