import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A new empty folder that is removed after the test. */
export async function tempFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'audiowave-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder for all tests of a suite; ask for it inside of hooks and tests. */
export function suiteFolder(hooks: {
  before: (hook: () => Promise<void>) => void;
  after: (hook: () => Promise<void>) => void;
}): () => string {
  let folder: string | undefined;
  hooks.before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'audiowave-test-'));
  });
  hooks.after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });
  return () => {
    if (folder === undefined) throw new Error('The folder of the suite is there only after its before hook');
    return folder;
  };
}
