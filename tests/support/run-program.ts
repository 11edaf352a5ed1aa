import { spawn } from 'node:child_process';

export interface ProgramOutput {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** Runs a program of the test machine to its end. One that is missing gives one line that says what to install. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { signal?: AbortSignal; stdin?: Uint8Array } = {},
): Promise<ProgramOutput> {
  const { promise, resolve, reject } = Promise.withResolvers<ProgramOutput>();
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.on('error', (error: NodeJS.ErrnoException) => {
    reject(error.code === 'ENOENT' ? missing(program) : error);
  });
  child.on('close', (exitCode) => {
    resolve({ stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8'), exitCode });
  });
  // A program may end before it has read its input; that is its right, and seen in its exit code.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin);
  return promise;
}

/** As {@link runProgram}, but an exit code other than 0 is an error that carries the end of stderr. */
export async function mustRun(program: string, args: readonly string[]): Promise<ProgramOutput> {
  const output = await runProgram(program, args);
  if (output.exitCode !== 0) {
    throw new Error(`${program} ended with ${String(output.exitCode)}: ${output.stderr.slice(-2000)}`);
  }
  return output;
}

function missing(program: string): Error {
  return new Error(
    `The tests need ${program}, which is not on PATH: apt-get install ffmpeg mpg123 (macOS: brew install ffmpeg mpg123)`,
  );
}
