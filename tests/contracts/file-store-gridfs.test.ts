import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before } from 'node:test';
import { GridFsFileStore } from '../../src/adapters/mongodb/file-store.ts';
import type { FileId } from '../../src/domain/ids.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startMongoDb, type MongoDbServer } from '../support/servers/mongodb.ts';
import { fileStoreContract } from './file-store.contract.ts';

const CRASHING = new URL('../support/half-written-gridfs-file.ts', import.meta.url).pathname;

let server: MongoDbServer;
before(async () => {
  server = await startMongoDb();
});
after(() => server.stop());

async function crashWhileWriting(url: string, id: FileId): Promise<void> {
  const child = spawn(process.execPath, [CRASHING, url, id], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  await Promise.race([
    once(child.stdout, 'data'),
    closed.then(() => Promise.reject(new Error('ended by itself'))),
  ]);
  child.kill('SIGKILL');
  await closed;
}

fileStoreContract('gridfs', async () => {
  const url = server.freshUrl('videos');
  const open = (): Promise<GridFsFileStore> => GridFsFileStore.open(url, { log: recordedLog() });
  return { store: await open(), again: open, crashWhileWriting: (id) => crashWhileWriting(url, id) };
});
