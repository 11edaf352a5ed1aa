import { AudiowaveError } from '../../domain/errors.ts';

/** What an error of the driver means for the next try. */
export type Trouble =
  /** The connection died, maybe long ago and unnoticed; a new one may do. */
  | 'lost'
  /** The server undid the statement in favour of another one. */
  | 'undone'
  /** The server answers and does not let us in; it will not for a while. */
  | 'refused'
  /** The disk of the server is full. */
  | 'full'
  /** The server refuses a value that is there already. */
  | 'duplicate'
  /** Anything else. */
  | 'other';

// Numbers of the server's errors: MySQL's and MariaDB's reference of server error messages.
const BY_NUMBER: Readonly<Record<number, Trouble>> = {
  1044: 'refused', // ER_DBACCESS_DENIED_ERROR
  1045: 'refused', // ER_ACCESS_DENIED_ERROR, in MariaDB also where an unencrypted connection is refused
  1049: 'refused', // ER_BAD_DB_ERROR
  1129: 'refused', // ER_HOST_IS_BLOCKED
  1130: 'refused', // ER_HOST_NOT_PRIVILEGED
  1698: 'refused', // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
  1862: 'refused', // ER_MUST_CHANGE_PASSWORD_LOGIN
  3118: 'refused', // ER_ACCOUNT_HAS_BEEN_LOCKED of MySQL
  4151: 'refused', // ER_ACCOUNT_HAS_BEEN_LOCKED of MariaDB
  3159: 'refused', // ER_SECURE_TRANSPORT_REQUIRED of MySQL
  1053: 'lost', // ER_SERVER_SHUTDOWN
  1077: 'lost', // ER_NORMAL_SHUTDOWN
  1927: 'lost', // ER_CONNECTION_KILLED
  3169: 'lost', // ER_SESSION_WAS_KILLED
  4031: 'lost', // ER_CLIENT_INTERACTION_TIMEOUT
  1205: 'undone', // ER_LOCK_WAIT_TIMEOUT
  1213: 'undone', // ER_LOCK_DEADLOCK
  1021: 'full', // ER_DISK_FULL
  1114: 'full', // ER_RECORD_FILE_FULL
  1062: 'duplicate', // ER_DUP_ENTRY
};

const LOST_CODES = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

interface DriverError extends Error {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlMessage?: string;
  readonly fatal?: boolean;
}

export function troubleOf(error: unknown): Trouble {
  const { errno, code, message } = error as DriverError;
  if (errno !== undefined && errno > 0 && BY_NUMBER[errno] !== undefined) return BY_NUMBER[errno];
  if (code !== undefined && LOST_CODES.has(code)) return 'lost';
  return message.endsWith('closed state') ? 'lost' : 'other';
}

/** The reason in one line, without secrets: what the server or the network says, and where. */
export function reasonOf(error: unknown, place: string): string {
  const { code, sqlMessage, message } = error as DriverError;
  const said = sqlMessage ?? (message === '' ? (code ?? 'no answer') : message);
  return `${said.replaceAll(/\s+/g, ' ')} (${place})`;
}

/** An error for the callers of the port: `store.full`, else `store.unavailable`, with the reason as its detail. */
export function storeError(error: unknown, place: string): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  const code = troubleOf(error) === 'full' ? 'store.full' : 'store.unavailable';
  return new AudiowaveError(code, undefined, { cause: error, detail: reasonOf(error, place) });
}
