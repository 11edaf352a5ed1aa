import { Value } from 'typebox/value';
import { AudiowaveError } from '../domain/errors.ts';
import { FAILED_QUEUE } from '../domain/messages.ts';
import { flagOf, NOT_YET, SETTINGS, type Setting, type SettingName, type Settings } from './settings.ts';

/** All settings, and what of the environment is no setting of ours. */
export type Config = Settings & {
  /** The folders in which programs are looked for, as `PATH` writes them. */
  readonly searchPath: string;
};

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Flags by their names without dashes. */
export type Flags = Readonly<Record<string, string | undefined>>;

/** The environment of this process. The only place that reads it. */
export function environment(): Environment {
  return process.env;
}

/**
 * Reads all settings: a flag wins over the environment, which wins over the default. An empty value counts as unset
 * (manifests set such). Throws `config.invalid` with one line for each problem, all at once.
 */
export function readConfig(env: Environment, flags: Flags = {}): Config {
  const problems = NOT_YET.filter((name) => (env[name] ?? '') !== '').map(
    (name) => `${name} is set, but this version has embedded stores only; unset it.`,
  );
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]) {
    config[name] = readSetting(setting, env, flags, problems);
  }
  problems.push(...contradictions(env, config as Settings));
  if (problems.length > 0) throw new AudiowaveError('config.invalid', problems.join('\n'));
  return { ...(config as Settings), searchPath: env.PATH ?? '' };
}

/** What is wrong though each setting is right by itself. */
function contradictions(env: Environment, config: Settings): string[] {
  const problems: string[] = [];
  const isSet = [config.bootstrapAdminEmail, env.BOOTSTRAP_ADMIN_EMAIL].some(hasText);
  if (isSet !== hasText(config.bootstrapAdminPassword)) {
    problems.push('BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD go together; set both or neither.');
  }
  if (new Set([config.videoQueue, config.mp3Queue, FAILED_QUEUE]).size < 3) {
    problems.push(`VIDEO_QUEUE, MP3_QUEUE and our own ${FAILED_QUEUE} must be three different queues.`);
  }
  return problems;
}

function hasText(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}

function readSetting(setting: Setting<unknown>, env: Environment, flags: Flags, problems: string[]): unknown {
  const flag = flagOf(setting);
  const fromFlag = flag === undefined ? undefined : flags[flag];
  const text = [fromFlag, env[setting.env], setting.fallback].find(
    (value) => value !== undefined && value !== '',
  );
  if (text === undefined) return setting.fallback === undefined ? undefined : setting.form.read('');
  const isWellFormed: boolean = Value.Check(setting.form.schema, text);
  if (isWellFormed) return setting.form.read(text);
  const name = text === fromFlag && flag !== undefined ? `--${flag}` : setting.env;
  const shown = setting.secret === true ? '' : ` "${text}"`;
  problems.push(`${name}${shown} is not of the form: ${setting.form.says}.`);
  return undefined;
}

/** The flags that take a setting, for the parser of arguments. */
export function configFlags(): readonly string[] {
  return Object.values(SETTINGS).flatMap((setting: Setting<unknown>) => flagOf(setting) ?? []);
}

/** True for the loopback addresses and `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether people may make accounts: as set; else only where nobody but this machine can reach us. */
export function registrationOf(config: Config): 'open' | 'closed' {
  return config.registration ?? (isLoopback(config.host) ? 'open' : 'closed');
}
