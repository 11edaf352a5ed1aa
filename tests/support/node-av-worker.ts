import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../src/audio/node-av/reports.ts';
import type { WorkerOptions } from '../../src/audio/node-av/worker-options.ts';

const WORKER = fileURLToPath(new URL('../../src/audio/node-av/worker.ts', import.meta.url));

/** Starts the node-av worker as the engine does: source on 0, MP3 on 1, log on 2, reports on 3. `more`: flags of node. */
export function startWorker(sourcePath: string, options: WorkerOptions, more: readonly string[] = []) {
  const source = openSync(sourcePath, 'r');
  try {
    const args = ['--max-old-space-size=512', ...more, WORKER, JSON.stringify(options)];
    const child = spawn(process.execPath, args, {
      stdio: [source, 'pipe', 'pipe', 'pipe'],
      cwd: '/',
    });
    const [, output, log, reports] = child.stdio as unknown as [null, Readable, Readable, Readable];
    return { child, output, log, reports };
  } finally {
    closeSync(source);
  }
}

export interface WorkerRun {
  readonly exitCode: number | null;
  readonly mp3: Buffer;
  readonly log: string;
  readonly reports: readonly Report[];
}

/** Runs the worker to its end. */
export async function runWorker(
  sourcePath: string,
  options: WorkerOptions,
  more: readonly string[] = [],
): Promise<WorkerRun> {
  const { child, output, log, reports } = startWorker(sourcePath, options, more);
  const [mp3, logged, told, [exitCode]] = await Promise.all([
    gather(output),
    gather(log),
    gather(reports),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  const lines = told
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
  return {
    exitCode,
    mp3,
    log: logged.toString('utf8'),
    reports: lines.map((line) => JSON.parse(line) as Report),
  };
}

/** The report of that type; fails where there is none. */
export function reportOf<T extends Report['type']>(run: WorkerRun, type: T): Extract<Report, { type: T }> {
  const report = run.reports.findLast((candidate) => candidate.type === type);
  if (report === undefined) throw new Error(`No report "${type}": ${JSON.stringify(run.reports)} ${run.log}`);
  return report as Extract<Report, { type: T }>;
}

async function gather(stream: Readable): Promise<Buffer> {
  return Buffer.concat((await stream.toArray()) as Buffer[]);
}
