import { AudiowaveError } from '../../domain/errors.ts';

/** The system's name of an error (`ENOENT`), or undefined where it has none. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** True where the error says that there is no such file or folder. */
function isMissing(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}

/**
 * What the callers of the port see of a failed system call: `store.full` for a full disk or quota, else
 * `store.unavailable`. Path and system error go to `detail`, for the log only.
 */
export function diskError(error: unknown): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  const code = systemCode(error);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const detail = error instanceof Error ? error.message : String(error);
  return new AudiowaveError(full ? 'store.full' : 'store.unavailable', undefined, { cause: error, detail });
}

/** Runs `work`; its system errors become errors of the port. */
export async function asDiskWork<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskError(error);
  }
}

/** The result of `work`, or undefined where the file is missing; other system errors become errors of the port. */
export async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw diskError(error);
  }
}
