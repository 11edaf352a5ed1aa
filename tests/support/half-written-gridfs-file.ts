// Run as a program: `node half-written-gridfs-file.ts <url> <id>` writes to a file of the store for ever, and says so once
// the first megabyte is there. To be killed.
import { GridFsFileStore } from '../../src/adapters/mongodb/file-store.ts';
import type { FileId } from '../../src/domain/ids.ts';
import { patternBytes } from './bytes.ts';
import { recordedLog } from './recorded-log.ts';

const [url = '', id = ''] = process.argv.slice(2);
const store = await GridFsFileStore.open(url, { log: recordedLog() });
const writer = await store.create(id as FileId);
for (let said = false; ;) {
  // Goes round within its first 16 MB, so that a test that is slow to kill does not fill the disk.
  if (writer.sizeBytes < 16 * 1024 * 1024) await writer.write(patternBytes(64 * 1024));
  else await writer.rewriteHead(patternBytes(64 * 1024));
  if (!said && writer.sizeBytes >= 1024 * 1024) {
    process.stdout.write('writing\n');
    said = true;
  }
}
