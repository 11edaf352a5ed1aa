import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * A sign of life that a process cannot forget to take down: a lock on a file, which the kernel lets go in the moment
 * the process dies. Unlike a process id it is right across containers and is never somebody else's by chance.
 * Node has no file locks of its own, so SQLite's lock on an empty database is used.
 */
export class OwnerLock {
  readonly #path: string;
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#path = path;
    this.#database = lockFile(path);
  }

  release(): void {
    this.#database.close();
    rmSync(this.#path, { force: true });
  }
}

/** True where nobody holds the lock of `path`: its process is dead. The file is then gone. */
export function isDead(path: string): boolean {
  let database;
  try {
    database = lockFile(path);
  } catch {
    // Locked; or it can't be told, and then its lease decides.
    return false;
  }
  database.close();
  rmSync(path, { force: true });
  return true;
}

function lockFile(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}
