import { Value } from 'typebox/value';
import { AudiowaveError } from '../domain/errors.ts';
import { FAILED_QUEUE } from '../domain/messages.ts';
import { familyUrl, impliedProfile, type UrlSetting } from './family.ts';
import { email } from './forms.ts';
import { isMongoUrl, withDatabase } from './mongo-url.ts';
import {
  flagOf,
  SETTINGS,
  type ProfileName,
  type Setting,
  type SettingName,
  type Settings,
} from './settings.ts';

/** All settings, and what of the environment is no setting of ours. */
export type Config = Settings & {
  readonly profile: ProfileName;
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
 * Reads all settings: a flag wins over the environment, which wins over the names of the family (for URLs), which win
 * over the default of the profile. An empty value counts as unset (manifests set such). Throws `config.invalid` with one
 * line for each problem, all at once.
 */
export function readConfig(env: Environment, flags: Flags = {}): Config {
  const reader: Reader = { env, flags, problems: [] };
  const profile = (readSetting(SETTINGS.profile, reader) as ProfileName | undefined) ?? impliedProfile(env);
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]) {
    config[name] = name === 'profile' ? profile : readSetting(setting, reader, profile);
  }
  const problems = [
    ...reader.problems,
    ...addFamilyUrls(env, config),
    ...contradictions(env, config as Settings),
  ];
  if (problems.length > 0) throw new AudiowaveError('config.invalid', problems.join('\n'));
  return { ...(config as Settings), profile, searchPath: env.PATH ?? '' };
}

const URL_SETTINGS: readonly UrlSetting[] = [
  'authUrl',
  'usersUrl',
  'videosUrl',
  'mp3sUrl',
  'brokerUrl',
  'mailUrl',
];

/** Sets the URLs that only the names of the family give; what is wrong with those. */
function addFamilyUrls(env: Environment, config: Record<string, unknown>): readonly string[] {
  const problems: string[] = [];
  for (const name of URL_SETTINGS) config[name] ??= familyUrl(name, env, problems);
  // The records live beside the MP3s, wherever those are said to be.
  const { mp3sUrl } = config as Settings;
  if (mp3sUrl !== undefined && isMongoUrl(mp3sUrl)) {
    config.conversionsUrl ??= withDatabase(mp3sUrl, 'audiowave', 'replace');
  } else {
    config.conversionsUrl ??= familyUrl('conversionsUrl', env, problems);
  }
  return problems;
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

interface Reader {
  readonly env: Environment;
  readonly flags: Flags;
  readonly problems: string[];
}

function readSetting(setting: Setting<unknown>, reader: Reader, profile: ProfileName = 'embedded'): unknown {
  const { env, flags, problems } = reader;
  const flag = flagOf(setting);
  const fromFlag = flag === undefined ? undefined : flags[flag];
  const fallback = profile === 'distributed' ? (setting.distributed ?? setting.fallback) : setting.fallback;
  const text = [fromFlag, env[setting.env], fallback].find((value) => value !== undefined && value !== '');
  if (text === undefined) return fallback === undefined ? undefined : setting.form.read('');
  const isFromFlag = text === fromFlag && flag !== undefined;
  if (isFromFlag && setting.isUrl === true && PASSWORD_IN_URL.test(text)) {
    problems.push(
      `--${flag} carries a password, which everybody on this machine can read in a flag; set ${setting.env} instead.`,
    );
    return undefined;
  }
  const isWellFormed: boolean = Value.Check(setting.form.schema, text);
  if (isWellFormed) return setting.form.read(text);
  const name = isFromFlag ? `--${flag}` : setting.env;
  const shown = setting.secret === true || setting.isUrl === true ? '' : ` "${text}"`;
  problems.push(`${name}${shown} is not of the form: ${setting.form.says}.`);
  return undefined;
}

const PASSWORD_IN_URL = /^[a-z0-9+.-]+:\/\/[^@]*:[^@]*@/i;

/** The flags that take a setting, for the parser of arguments. */
export function configFlags(): readonly string[] {
  return Object.values(SETTINGS).flatMap((setting: Setting<unknown>) => flagOf(setting) ?? []);
}

/** True for the loopback addresses and `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether people may make accounts: as set (or as the profile says); else only where nobody but this machine can reach us. */
export function registrationOf(config: Config): 'open' | 'closed' {
  return config.registration ?? (isLoopback(config.host) ? 'open' : 'closed');
}

/**
 * Who mails come from: as set; else who logs in at the mail server, where that is an e-mail address, since many servers
 * refuse every other sender for good.
 */
export function senderOf({ gmailAddress, mailFrom, mailUrl }: Config): string {
  return gmailAddress ?? mailFrom ?? addressIn(mailUrl) ?? 'audiowave@localhost';
}

function addressIn(url: string | undefined): string | undefined {
  try {
    const user = decodeURIComponent(new URL(url ?? '').username);
    return Value.Check(email.schema, user) ? user : undefined;
  } catch {
    // What is wrong with the URL is told where it is opened.
    return undefined;
  }
}
