import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { login, register } from '../tests/support/client.ts';
import { Program } from '../tests/support/program.ts';
import { peakMiB, uploadBytes } from './memory.ts';

const SMALL = 256;

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
