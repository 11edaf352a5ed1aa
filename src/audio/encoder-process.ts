import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { EncoderCommand } from './encoder.ts';
import { BoundedLog, LineSplitter } from './lines.ts';

export interface EncoderExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface EncoderStart {
  readonly command: EncoderCommand;
  /** Descriptor of the source, open for reading. */
  readonly descriptor: number;
  readonly cpuSeconds: number;
  readonly onLogLine: (line: string) => void;
  readonly onReportLine: (line: string) => void;
}

/** The program needs nothing of our environment, and must not see the secrets in it. */
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' };
const SHELL = '/bin/sh';
/**
 * Limits that hold even where we are gone: no core file, no file written at all (its output is a pipe), few
 * descriptors, and CPU time, address space and data where they are given. A system that lacks one of them goes on
 * without it.
 */
const LIMITED_START = [
  'ulimit -c 0',
  'ulimit -f 0',
  'ulimit -n 128',
  'ulimit -t "$1"',
  '[ "$2" = 0 ] || ulimit -v "$2"',
  '[ "$3" = 0 ] || ulimit -d "$3"',
]
  .map((limit) => `{ ${limit}; } 2>/dev/null`)
  .concat('shift 3', 'exec "$@"')
  .join('; ');

/** One running encoder program, alone in its process group. Its log and reports are drained whatever happens. */
export class EncoderProcess {
  /** MP3 frames. To be read or destroyed, otherwise {@link exited} waits for ever. */
  readonly output: Readable;
  /** Settles when the program is gone and every line it wrote has been told; never rejects. */
  readonly exited: Promise<EncoderExit>;
  readonly log = new BoundedLog();
  readonly #child: ChildProcess;
  #gone = false;

  constructor(start: EncoderStart) {
    const child = spawnLimited(start);
    this.#child = child;
    const [, output, log, reports] = child.stdio as unknown as [null, Readable, Readable, Readable];
    this.output = output;
    drain(log, (line) => {
      this.log.add(line);
      start.onLogLine(line);
    });
    drain(reports, start.onReportLine);
    this.exited = new Promise((resolve) => {
      child.once('exit', () => (this.#gone = true));
      child.once('close', (code, signal) => {
        resolve({ code, signal });
      });
      child.once('error', (error) => {
        this.log.add(String(error));
        // Where the start itself failed there is no 'close'.
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
  }

  /** Ends the program and everything it has started, at once. */
  kill(): void {
    this.output.destroy();
    const { pid } = this.#child;
    if (this.#gone || pid === undefined) return;
    try {
      if (process.platform === 'win32') this.#child.kill('SIGKILL');
      else process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // It ended a moment ago.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function spawnLimited({ command, descriptor, cpuSeconds }: EncoderStart): ChildProcess {
  const { file, args, addressSpaceKib = 0, dataKib = 0 } = command;
  const limits = [cpuSeconds, addressSpaceKib, dataKib].map((value) => String(Math.ceil(value)));
  const [program, words] = existsSync(SHELL)
    ? [SHELL, ['-c', LIMITED_START, 'sh', ...limits, file, ...args]]
    : [file, [...args]];
  return spawn(program, words, {
    stdio: [descriptor, 'pipe', 'pipe', 'pipe'],
    env: ENVIRONMENT,
    cwd: process.platform === 'win32' ? undefined : '/',
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
}

function drain(stream: Readable, onLine: (line: string) => void): void {
  const lines = new LineSplitter(onLine);
  stream.on('data', (chunk: Buffer) => {
    lines.push(chunk);
  });
  stream.on('end', () => {
    lines.end();
  });
  // A pipe that breaks shows in the exit of the program.
  stream.on('error', () => undefined);
}
