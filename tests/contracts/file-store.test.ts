import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DiskFileStore } from '../../src/adapters/disk/file-store.ts';
import { MemoryFileStore } from '../../src/adapters/memory/file-store.ts';
import type { FileId } from '../../src/domain/ids.ts';
import { tempFolder } from '../support/temp.ts';
import { fileStoreContract } from './file-store.contract.ts';

const CRASHING = new URL('../support/half-written-file.ts', import.meta.url).pathname;

async function crashWhileWriting(folder: string, id: FileId): Promise<void> {
  const child = spawn(process.execPath, [CRASHING, folder, id], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  await Promise.race([
    once(child.stdout, 'data'),
    closed.then(() => Promise.reject(new Error('ended by itself'))),
  ]);
  child.kill('SIGKILL');
  await closed;
}

fileStoreContract('disk', async (t) => {
  const folder = await tempFolder(t);
  return {
    store: await DiskFileStore.open(folder),
    again: () => DiskFileStore.open(folder),
    crashWhileWriting: (id) => crashWhileWriting(folder, id),
  };
});

fileStoreContract('memory', () => Promise.resolve({ store: new MemoryFileStore() }), {
  onlyInThisProcess: 'for tests only; its files are gone with the process',
  memoryGrows: 'memory is where it keeps them',
});
