import { randomUUID } from 'node:crypto';
import { link, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Only the account that runs Audiowave reads the mails of its users: they carry links that download. */
export const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** How the names of files end that are not whole. */
export const TEMPORARY = '.part';

function hasSystemCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  // Windows has no such call for folders.
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network and user-space file systems can't; there is nothing better to do there.
    if (!hasSystemCode(error, 'EINVAL') && !hasSystemCode(error, 'ENOTSUP')) throw error;
  } finally {
    await handle.close();
  }
}

/** Writes a durable file under a temporary name and hands its path to `use`, which moves or links it; then it is gone. */
async function withTemporary<T>(
  folder: string,
  bytes: Uint8Array | string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(folder, `.${randomUUID()}${TEMPORARY}`);
  try {
    const handle = await open(path, 'wx', FILE_MODE);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return await use(path);
  } finally {
    await unlink(path).catch(() => undefined);
  }
}

/** The text of a file, or undefined where there is none. */
export async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Puts `text` under `name` unless there is a file already; what lies there afterwards. */
export async function linkOrRead(folder: string, name: string, text: string): Promise<string | undefined> {
  const path = join(folder, name);
  const there = await readOrUndefined(path);
  if (there !== undefined) return there;
  await withTemporary(folder, text, async (temporary) => {
    await link(temporary, path).catch((error: unknown) => {
      if (!hasSystemCode(error, 'EEXIST')) throw error;
    });
  });
  await syncFolder(folder);
  return readOrUndefined(path);
}

/** Puts `bytes` under `name`, whole and durable; false where there is such a file already. */
export async function placeFile(folder: string, name: string, bytes: Uint8Array): Promise<boolean> {
  const path = join(folder, name);
  const there = await stat(path).catch((error: unknown) => {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (there !== undefined) return false;
  await withTemporary(folder, bytes, (temporary) => rename(temporary, path));
  await syncFolder(folder);
  return true;
}

/** Removes what a process that died in the middle of a write left here before `olderThan` (ms since the epoch). */
export async function sweepTemporaries(folder: string, olderThan: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith('.') || !name.endsWith(TEMPORARY)) continue;
    const path = join(folder, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts !== undefined && facts.mtimeMs < olderThan) await unlink(path).catch(() => undefined);
  }
}
