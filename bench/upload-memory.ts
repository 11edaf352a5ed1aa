import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { login, register } from '../tests/support/client.ts';
import { Program } from '../tests/support/program.ts';

const SMALL = 256;
const CHUNK = Buffer.alloc(1 << 20, 0x5a);

/** Peak resident memory of the process so far, in MiB (Linux). */
async function peakMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Uploads `mebibytes` of bytes that are no video, from memory. */
async function uploadBytes(url: string, token: string, mebibytes: number): Promise<void> {
  const boundary = 'audiowave-bench';
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="v.mp4"\r\n\r\n`;
  const tail = `\r\n--${boundary}--\r\n`;
  const upload = request(`${url}/upload`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + mebibytes * CHUNK.length + tail.length,
    },
  });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  upload.write(head);
  for (let n = 0; n < mebibytes; n++) if (!upload.write(CHUNK)) await once(upload, 'drain');
  upload.end(tail);
  const [response] = await answered;
  response.resume();
  if (response.statusCode !== 200) throw new Error(`upload answered ${String(response.statusCode)}`);
}

/**
 * Peak memory of the whole program after an upload of 256 MiB (the peer), and after one of 4 GiB: it must not grow with
 * the file. A smaller peer would end before the first garbage collections and compare with a program that just began.
 */
export async function run(args: readonly string[]): Promise<void> {
  const large = Number(args[0] ?? 4096);
  const folder = await mkdtemp(join(tmpdir(), 'audiowave-bench-'));
  const program = await Program.start(join(folder, 'data'), { LOG_LEVEL: 'warn' });
  const pid = program.child.pid ?? 0;
  try {
    await register(program.url);
    const token = await login(program.url);
    await uploadBytes(program.url, token, SMALL);
    const small = await peakMiB(pid);
    const begun = performance.now();
    await uploadBytes(program.url, token, large);
    const seconds = (performance.now() - begun) / 1000;
    const peak = await peakMiB(pid);
    console.log(`peak memory after ${String(SMALL)} MiB: ${small.toFixed(0)} MiB`);
    console.log(
      `peak memory after ${String(large)} MiB: ${peak.toFixed(0)} MiB (${(large / seconds).toFixed(0)} MiB/s)`,
    );
    console.log(`ratio ${(peak / small).toFixed(2)} in memory for ${String(large / SMALL)} times the bytes`);
  } finally {
    await program.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
