import { AudiowaveError } from '../../domain/errors.ts';

/** SQLITE_FULL (SQLite, "Result and Error Codes"); the low byte of an extended code. */
const SQLITE_FULL = 13;

/**
 * Runs `work` of the driver, which is synchronous, and resolves with its result. What goes wrong in the driver (locked
 * for too long, disk full, corrupt, closed) rejects with `store.full` or `store.unavailable` and its words in `detail`;
 * any other error stays what it is.
 */
export function answer<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      resolve(work());
    } catch (error) {
      reject(isDriverError(error) ? storeError(error) : (error as Error));
    }
  });
}

/** Opens a database by `work`; whatever goes wrong there, the file system's errors too, is the store's. */
export function opening<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeError(error);
  }
}

interface DriverError extends Error {
  readonly code: string;
  /** Only for ERR_SQLITE_ERROR. */
  readonly errcode?: number;
  readonly errstr?: string;
}

function isDriverError(error: unknown): error is DriverError {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ERR_SQLITE_ERROR' || error.code === 'ERR_INVALID_STATE';
}

function storeError(error: unknown): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  const errcode = isDriverError(error) ? error.errcode : undefined;
  const full = hasCode(error, 'ENOSPC') || (errcode !== undefined && (errcode & 0xff) === SQLITE_FULL);
  return new AudiowaveError(full ? 'store.full' : 'store.unavailable', undefined, {
    cause: error,
    detail: wordsOf(error),
  });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function wordsOf(error: unknown): string {
  if (!isDriverError(error) || error.errcode === undefined) return String(error);
  return `SQLite ${String(error.errcode)} (${error.errstr ?? 'unknown'}): ${error.message}`;
}
