import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { ROLE_NAMES, type RoleName } from '../host/roles.ts';
import { configFlags, environment, readConfig, type Config } from '../config/config.ts';

/** The call was not understood: exit code 2. */
export class UsageError extends Error {}

export interface Arguments {
  readonly config: Config;
  /** What is no option. */
  readonly words: readonly string[];
  /** The command's own options. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

/** Reads a command's arguments: its own options, and a flag for each setting. Throws UsageError or `config.invalid`. */
export function readArguments(args: readonly string[], own: ParseArgsOptionsConfig = {}): Arguments {
  const settings = Object.fromEntries(configFlags().map((flag) => [flag, { type: 'string' } as const]));
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options: { ...settings, ...own },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const values = parsed.values as Record<string, string | boolean | undefined>;
  const flags = Object.fromEntries(
    Object.entries(values).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[0] in settings,
    ),
  );
  return { config: readConfig(environment(), flags), words: parsed.positionals, options: values };
}

/** The roles that are named; all where none is. */
export function rolesOf(words: readonly string[]): readonly RoleName[] {
  return words.length === 0 ? ROLE_NAMES : words.map(roleOf);
}

function roleOf(word: string): RoleName {
  const role = ROLE_NAMES.find((name) => name === word);
  if (role === undefined)
    throw new UsageError(`There is no role "${word}"; the roles are ${ROLE_NAMES.join(', ')}.`);
  return role;
}
