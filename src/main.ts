import { COMMANDS, USAGE } from './cli/commands.ts';
import { UsageError } from './cli/usage.ts';
import { AudiowaveError } from './domain/errors.ts';

/** The commands whose output is all that they are for. */
const TELLING: ReadonlySet<string> = new Set(['help', '--help', '-h', 'version', 'doctor', 'queues', 'user']);

/**
 * Runs one command; resolves with the exit code: 0 done, 1 it failed, 2 the call was not understood. Writes errors as
 * lines for people to standard error.
 */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name !== undefined && TELLING.has(name)) process.stdout.on('error', endUnread);
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(USAGE);
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS[name];
  try {
    if (command === undefined) throw new UsageError(`There is no command "${name}".`);
    return await command(rest);
  } catch (error) {
    return explain(error);
  }
}

/** Whoever read the output has read enough: `audiowave queues dead video | head`. */
function endUnread(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`audiowave: ${error.message}\nTry: audiowave help\n`);
    return 2;
  }
  if (error instanceof AudiowaveError) {
    const { message, detail } = error;
    const more = detail === undefined || message.includes(detail) ? '' : `  (${detail})\n`;
    process.stderr.write(`audiowave: ${message}\n${more}`);
    return error.code === 'config.invalid' ? 2 : 1;
  }
  process.stderr.write(
    `audiowave: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}
