import { createInterface } from 'node:readline/promises';
import { createLog } from '../host/log.ts';
import { dataFolderOf, portUrls, shownUrl } from '../host/profiles.ts';
import { openAccounts } from '../host/accounts.ts';
import type { Config } from '../config/config.ts';
import type { UserRole } from '../domain/user.ts';
import { readArguments, UsageError } from './usage.ts';

const OPTIONS = { role: { type: 'string' }, 'password-stdin': { type: 'boolean' } } as const;

/** `audiowave user add | passwd | list | remove` */
export async function user(args: readonly string[]): Promise<number> {
  const { config, words, options } = readArguments(args, OPTIONS);
  const [action, email, ...more] = words;
  if (more.length > 0)
    throw new UsageError(`One e-mail address at a time, please: "${more.join(' ')}" is too much.`);
  // A database that is away says so in the error that ends the command.
  const log = createLog({ ...config, logLevel: 'error' });
  const accounts = await openAccounts(config, log);
  try {
    switch (action) {
      case 'add': {
        const added = await accounts.add(
          named(email),
          await readPassword(options['password-stdin'] === true),
          roleOf(options.role),
        );
        return say(`Added ${added.email} (${added.role})`, config);
      }
      case 'passwd':
        await accounts.setPassword(named(email), await readPassword(options['password-stdin'] === true));
        return say(`Changed the password of ${named(email)}`, config);
      case 'remove':
        await accounts.remove(named(email));
        return say(`Removed ${named(email)}`, config);
      case 'list': {
        const users = await accounts.list();
        for (const one of users) process.stdout.write(`${one.email}\t${one.role}\n`);
        return say(`${String(users.length)} account${users.length === 1 ? '' : 's'}`, config);
      }
      case undefined:
      default:
        throw new UsageError('Say what to do: user add, user passwd, user list or user remove.');
    }
  } finally {
    await accounts.close();
  }
}

function say(what: string, config: Config): number {
  const place =
    config.usersUrl === undefined
      ? `data folder ${dataFolderOf(config)}`
      : shownUrl(portUrls(config).users ?? '');
  process.stderr.write(`${what} in ${place}.\n`);
  return 0;
}

function named(email: string | undefined): string {
  if (email === undefined) throw new UsageError('Name the account: an e-mail address.');
  return email;
}

function roleOf(role: string | boolean | undefined): UserRole {
  if (role === undefined || role === 'user') return 'user';
  if (role === 'admin') return 'admin';
  throw new UsageError(`There is no role "${String(role)}" for an account; the roles are user and admin.`);
}

/** From standard input to its end (a line break at the end does not count), or asked for on a terminal. */
async function readPassword(fromStdin: boolean): Promise<string> {
  if (!fromStdin && process.stdin.isTTY) return askPassword();
  if (!fromStdin)
    throw new UsageError(
      "Pass the password on standard input: printf '%s' 'secret' | audiowave user … --password-stdin",
    );
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

async function askPassword(): Promise<string> {
  process.stderr.write('Password: ');
  const { Writable } = await import('node:stream');
  const silent = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
