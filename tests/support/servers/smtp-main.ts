import { randomUUID } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { startSmtp } from './smtp.ts';

// The program of startSmtpProcess(): port, folder and the word of its greeting.
const [, , port, folder = '', banner = ''] = process.argv;

let last = 0;

/** Writes the message so that it is there, whole, whatever happens after this has resolved. */
async function keep(message: Buffer): Promise<void> {
  // Names sort by receipt; two in one millisecond get two.
  last = Math.max(Date.now(), last + 1);
  const name = `${String(last)}-${randomUUID()}`;
  const temporary = join(folder, `${name}.part`);
  const file = await open(temporary, 'wx');
  try {
    await file.writeFile(message);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, `${name}.eml`));
  const directory = await open(folder);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

await startSmtp({ port: Number(port), banner, keep });
process.on('SIGTERM', () => process.exit(0));
