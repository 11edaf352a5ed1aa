/**
 * The encoder program that npm brings: FFmpeg with LAME inside a Node process of its own, so that a damaged file can
 * never take a role down. Started by the engine as
 *
 *     node --max-old-space-size=512 worker.ts '{"mode":"cbr","bitrateKbps":192,"explicit":false}'
 *
 * Descriptor 0 is the source (a regular file), 1 takes MP3 frames (no ID3, no Info frame), 2 the log and 3 reports, one
 * JSON object a line (see Report). Exit codes: 0 done, 1 failed (the last report says why), 2 not started by the engine
 * or left alone by it.
 */
import { asAudiowaveError, AudiowaveError } from '../../domain/errors.ts';
import { ReportPipe } from './reports.ts';
import type { WorkerOptions } from './worker-options.ts';

async function run(reports: ReportPipe): Promise<number> {
  try {
    await findNodeAv();
    const { convert } = await import('./convert.ts');
    await convert(JSON.parse(process.argv[2] ?? '') as WorkerOptions, reports);
    return 0;
  } catch (error) {
    // Nobody is left to tell it to.
    if (isBrokenPipe(error)) return 2;
    const { code, message, detail } = asAudiowaveError(error, 'audio.encoder-failed');
    if (detail !== undefined) process.stderr.write(`${detail}\n`);
    reports.tell({ type: 'failed', code, message });
    return 1;
  }
}

/** npm leaves an optional package out in silence, and its binary exists for some systems only. */
async function findNodeAv(): Promise<void> {
  try {
    await import('node-av/lib');
  } catch (error) {
    throw new AudiowaveError('audio.encoder-missing', undefined, { cause: error, detail: String(error) });
  }
}

function isBrokenPipe(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'EBADF' || code === 'ECONNRESET';
}

const exitCode = await run(new ReportPipe()).catch(() => 2);
// FFmpeg's threads and log would keep the process alive.
process.exit(exitCode);
