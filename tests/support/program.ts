import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';

/** The command, as a checkout has it. */
export const BIN = fileURLToPath(new URL('../../bin/audiowave.js', import.meta.url));

/** The environment of a started program: nothing of ours leaks in but what a shell always has. */
export function environmentOf(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG, TMPDIR } = process.env;
  return { PATH, HOME, LANG, TMPDIR, ...settings };
}

/** A started `audiowave serve`, as a user starts it: another process, real HTTP, real files. */
export class Program {
  readonly url: string;
  readonly dataFolder: string;
  readonly child: ChildProcess;
  readonly #output: { stdout: string; stderr: string };

  private constructor(
    child: ChildProcess,
    output: { stdout: string; stderr: string },
    url: string,
    dataFolder: string,
  ) {
    this.child = child;
    this.#output = output;
    this.url = url;
    this.dataFolder = dataFolder;
  }

  /** Starts it on `dataFolder` and a free port (or the one in `settings`), and waits until it is ready. */
  static async start(
    dataFolder: string,
    settings: Readonly<Record<string, string>> = {},
    roles: readonly string[] = [],
  ): Promise<Program> {
    const env = environmentOf({
      AUDIOWAVE_DATA: dataFolder,
      AUDIOWAVE_PORT: '0',
      AUDIOWAVE_AUTH_PORT: '0',
      AUDIOWAVE_HEALTH_PORT: '0',
      MIN_FREE_DISK: '1MiB',
      ...settings,
    });
    const child = spawn(process.execPath, [BIN, 'serve', ...roles], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = collect(child);
    try {
      const url = await listeningUrlOf(child, output);
      return new Program(child, output, url, dataFolder);
    } catch (error) {
      // Left behind it would keep the test's process alive for ever.
      child.kill('SIGKILL');
      throw error;
    }
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** SIGTERM; the exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const [code] = (await exit) as [number | null];
    return code;
  }

  /** SIGKILL, as a crash would. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exit;
  }

  get outboxFolder(): string {
    return join(this.dataFolder, 'outbox');
  }
}

/** Where it listens, as soon as it says that it runs. */
function listeningUrlOf(
  child: ChildProcess,
  output: { readonly stdout: string; readonly stderr: string },
): Promise<string> {
  return eventually(
    'the program says that it runs, and where it listens',
    () => {
      if (child.exitCode !== null)
        throw new Error(`it ended with ${String(child.exitCode)}: ${output.stderr}`);
      if (!output.stdout.includes('Audiowave runs')) return undefined;
      return /listens +(http:\S+)/.exec(output.stdout)?.[1] ?? 'nowhere';
    },
    60_000,
  );
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return output;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs `audiowave <args>` to its end. */
export async function audiowave(
  args: readonly string[],
  options: { stdin?: string | Uint8Array; settings?: Readonly<Record<string, string>>; cwd?: string } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: environmentOf(options.settings ?? {}),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that refuses its arguments never reads its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: Buffer.concat(stdout), stderr };
}
