import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assertFileId, type FileId } from '../../domain/ids.ts';
import { systemCode, unlessMissing } from './disk-errors.ts';

/** Only the account that runs Audiowave reads the files of its users. */
export const FOLDER_MODE = 0o700;
export const PARTIAL_MODE = 0o600;
/** A whole file never changes. The missing write bit also tells a follower that the file was committed. */
export const WHOLE_MODE = 0o400;

/** Where the files of a store lie. All paths are made here, and only of checked ids. */
export class Folders {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Files that are being written. */
  get partial(): string {
    return join(this.root, 'partial');
  }

  /** Files that become whole at this moment, each under a name that is its writer's alone. */
  get committing(): string {
    return join(this.root, 'committing');
  }

  /** A new name for one commit. */
  committingPath(id: FileId): string {
    assertFileId(id);
    return join(this.committing, `${id}.${randomUUID()}`);
  }

  /** The names under which this file is being committed: one at most, where nobody has died over it. */
  async committingPaths(id: FileId): Promise<string[]> {
    assertFileId(id);
    const names = (await unlessMissing(() => readdir(this.committing))) ?? [];
    return names.filter((name) => name.startsWith(`${id}.`)).map((name) => join(this.committing, name));
  }

  partialPath(id: FileId): string {
    assertFileId(id);
    return join(this.partial, id);
  }

  /** Whole files are spread by the last two digits, which count up; the first ones are a time and hardly change. */
  wholeFolder(id: FileId): string {
    assertFileId(id);
    return join(this.root, id.slice(-2));
  }

  wholePath(id: FileId): string {
    return join(this.wholeFolder(id), id);
  }
}

/** Makes a folder and those above it, so that they survive a power cut. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  if (first === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first || made === dirname(made)) return;
  }
}

/** Makes the names in a folder durable: a rename survives a power cut only after this. */
export async function syncFolder(path: string): Promise<void> {
  // Windows has no such call for folders; NTFS keeps its names in a journal.
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network and user-space file systems can't; there is nothing better to do there.
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}
