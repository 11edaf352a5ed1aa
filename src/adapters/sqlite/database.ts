import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AudiowaveError } from '../../domain/errors.ts';

/** How long a statement waits for another process's transaction. Waiting blocks the event loop, so transactions are short. */
const BUSY_TIMEOUT_MS = 5_000;

/** SQLITE_BUSY (SQLite, "Result and Error Codes"). */
const SQLITE_BUSY = 5;

/**
 * Opens a database file in WAL mode with synchronous=FULL (a commit survives a power cut) and brings its schema up to
 * date: `migrations[n]` leads from user_version n to n + 1. Several processes may open the same file, also at the same
 * time while it is made. A new file can be read by its owner only.
 */
export function openDatabase(path: string, migrations: readonly string[]): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  makeFile(path);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    useWriteAheadLog(database);
    database.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

// SQLite gives the files beside it (-wal, -shm) the same mode. A file that is there must not be opened and closed
// here: closing any descriptor of a file drops all locks that this process has on it, those of an open database, too
// (SQLite, "How To Corrupt An SQLite Database File", 2.2).
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

// SQLite does not wait for its time-out where two processes turn the log on at the same time: one of them is told at
// once that the database is locked. Only the first opening of a new file comes here more than once.
function useWriteAheadLog(database: DatabaseSync): void {
  const end = Date.now() + BUSY_TIMEOUT_MS;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() > end) throw error;
      Atomics.wait(clock, 0, 0, 10);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY;
}

function migrate(database: DatabaseSync, path: string, migrations: readonly string[]): void {
  transaction(database, () => {
    const row = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (row.user_version > migrations.length) {
      throw new AudiowaveError(
        'store.unavailable',
        'The data folder was written by a newer Audiowave; start that version, or use another data folder.',
        {
          detail: `${path}: schema ${String(row.user_version)}, this version knows ${String(migrations.length)}`,
        },
      );
    }
    for (const migration of migrations.slice(row.user_version)) database.exec(migration);
    database.exec(`PRAGMA user_version = ${String(migrations.length)}`);
  });
}

/**
 * Runs `work` in one write transaction and commits it. `work` must not await. Always BEGIN IMMEDIATE: a transaction
 * that reads first and writes later fails at once, whatever the time-out, where another process wrote in between.
 */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
