import { availableParallelism } from 'node:os';
import {
  count,
  duration,
  durationOrForever,
  email,
  httpUrl,
  lifetime,
  list,
  networks,
  port,
  size,
  text,
  wait,
  word,
  type Form,
} from './forms.ts';

/** One setting: an environment variable and, unless it is a secret, a flag of the same name. */
export interface Setting<T, D extends string | undefined = string | undefined> {
  readonly env: string;
  readonly form: Form<T>;
  /** Text that is read where nothing is set; undefined: none, and the doc says what happens then. */
  readonly fallback: D;
  /** What people read in its place, where the fallback depends on the machine. */
  readonly fallbackSays?: string;
  readonly doc: string;
  /** Never taken from a flag (other users of the machine see those) and never shown. */
  readonly secret?: true;
}

function setting<T, const D extends string | undefined>(
  env: string,
  form: Form<T>,
  fallback: D,
  doc: string,
  fallbackSays?: string,
): Setting<T, D> {
  return { env, form, fallback, doc, ...(fallbackSays === undefined ? {} : { fallbackSays }) };
}

function secret(env: string, doc: string): Setting<string, undefined> {
  return { env, form: text('secret text'), fallback: undefined, doc, secret: true };
}

/** Every setting of Audiowave. `docs/configuration.md` is kept equal to this table by a test. */
export const SETTINGS = {
  dataFolder: setting(
    'AUDIOWAVE_DATA',
    text('folder'),
    './data',
    'Where everything lies that is kept on this machine.',
  ),
  host: setting(
    'AUDIOWAVE_HOST',
    text('address'),
    '127.0.0.1',
    'Address to listen on. Another than the loopback closes registration unless `REGISTRATION` says otherwise.',
  ),
  port: setting('AUDIOWAVE_PORT', port, '8080', 'Port of the gateway.'),
  authPort: setting(
    'AUDIOWAVE_AUTH_PORT',
    port,
    '5000',
    'Port of auth; opened only where auth runs without the gateway.',
  ),
  publicUrl: setting(
    'AUDIOWAVE_PUBLIC_URL',
    httpUrl,
    undefined,
    'Base of the links in mails. Unset: the address the gateway listens on.',
  ),
  trustedProxies: setting(
    'TRUSTED_PROXIES',
    networks,
    '',
    'Proxies whose `X-Forwarded-*` headers are believed.',
  ),
  registration: setting(
    'REGISTRATION',
    word('open', 'closed'),
    undefined,
    'Whether people may make accounts themselves. Unset: open on the loopback, closed elsewhere.',
  ),
  jwtSecret: secret(
    'JWT_SECRET',
    'Signs tokens. Unset: made at the first start and kept in the data folder, readable for its owner only.',
  ),
  tokenTtlMs: setting('TOKEN_TTL', lifetime, '1d', 'How long a token is good.'),
  loginResponse: setting(
    'LOGIN_RESPONSE',
    word('text', 'json'),
    'text',
    'Form of the answer to `POST /login`: the bare token, or `{"token": …}` for everybody.',
  ),
  rehash: setting(
    'REHASH',
    word('on', 'off'),
    'on',
    'Whether a plain-text password of another implementation is hashed at its first login.',
  ),
  bootstrapAdminEmail: setting(
    'BOOTSTRAP_ADMIN_EMAIL',
    email,
    undefined,
    'An administrator made at the start where there is no account of that name. Needs `BOOTSTRAP_ADMIN_PASSWORD`.',
  ),
  bootstrapAdminPassword: secret('BOOTSTRAP_ADMIN_PASSWORD', 'The password of that account.'),
  videoQueue: setting('VIDEO_QUEUE', text('queue name'), 'video', 'Queue from gateway to converter.'),
  mp3Queue: setting('MP3_QUEUE', text('queue name'), 'mp3', 'Queue from converter to notification.'),
  maxUploadBytes: setting(
    'MAX_UPLOAD',
    size,
    '5GiB',
    'The largest video that is taken; a larger one is answered with 413.',
  ),
  uploadIdleMs: setting(
    'UPLOAD_IDLE',
    wait(1),
    '60s',
    'An upload from which no byte comes for so long is ended.',
  ),
  minFreeDiskBytes: setting(
    'MIN_FREE_DISK',
    size,
    '1GiB',
    'Below this much free space uploads are answered with 507.',
  ),
  sourceRetentionMs: setting(
    'SOURCE_RETENTION',
    duration,
    '1d',
    'How long a video stays after its conversion ended.',
  ),
  mp3RetentionMs: setting('MP3_RETENTION', durationOrForever, 'forever', 'How long an MP3 stays.'),
  leftoverAgeMs: setting(
    'LEFTOVER_AGE',
    wait(1_000),
    '1h',
    "The age at which a half-written file that nobody writes any more is removed. Longer than any converter's or gateway's pause.",
  ),
  legacyDownloads: setting(
    'LEGACY_DOWNLOADS',
    word('closed', 'open'),
    'closed',
    "Whether every token may download MP3s that no record names an owner of (the original's behaviour).",
  ),
  linkTtlMs: setting('LINK_TTL', lifetime, '7d', 'How long the one-click link of a mail works.'),
  importAllow: setting(
    'IMPORT_ALLOW',
    list('hosts, addresses or CIDRs, by commas'),
    '',
    'Private addresses from which URL requests may fetch all the same.',
  ),
  importTimeoutMs: setting('IMPORT_TIMEOUT', wait(1), '1h', 'The longest that fetching one URL may take.'),
  concurrency: setting(
    'CONVERSIONS',
    count,
    String(availableParallelism()),
    'The most conversions at the same time in one process.',
    'number of cores',
  ),
  maxAttempts: setting('MAX_ATTEMPTS', count, '5', 'How often a conversion is begun before it has failed.'),
  conversionTimeoutMs: setting(
    'CONVERSION_TIMEOUT',
    wait(1),
    '6h',
    'The longest that one conversion may take.',
  ),
  maxMp3Bytes: setting('MAX_MP3', size, '4GiB', 'The largest MP3 that is made.'),
  encoder: setting(
    'AUDIOWAVE_ENCODER',
    word('auto', 'ffmpeg', 'node-av'),
    'auto',
    'Encoder program: ffmpeg where one is found, otherwise node-av, which npm brings; or one of the two.',
  ),
  ffmpegPath: setting(
    'AUDIOWAVE_FFMPEG',
    text('file'),
    undefined,
    'The ffmpeg to use. Unset: the one on the `PATH`.',
  ),
  mailFrom: setting(
    'MAIL_FROM',
    email,
    'audiowave@localhost',
    'Sender of mails where `GMAIL_ADDRESS` is not set.',
  ),
  gmailAddress: setting('GMAIL_ADDRESS', email, undefined, 'Sender of mails, as the family names it.'),
  usersUrl: setting(
    'USERS_URL',
    text('URL: sqlite:…'),
    undefined,
    'Where accounts are kept. Unset: `users.sqlite` in the data folder.',
  ),
  conversionsUrl: setting(
    'CONVERSIONS_URL',
    text('URL: sqlite:…'),
    undefined,
    'Where the records of conversions are kept. Unset: `conversions.sqlite` in the data folder.',
  ),
  videosUrl: setting(
    'VIDEOS_URL',
    text('URL: file:…'),
    undefined,
    'Where videos are kept. Unset: `videos` in the data folder.',
  ),
  mp3sUrl: setting(
    'MP3S_URL',
    text('URL: file:…'),
    undefined,
    'Where MP3s are kept. Unset: `mp3s` in the data folder.',
  ),
  brokerUrl: setting(
    'BROKER_URL',
    text('URL: sqlite:…'),
    undefined,
    'Where messages are kept. Unset: `queues.sqlite` in the data folder.',
  ),
  mailUrl: setting(
    'MAIL_URL',
    text('URL: outbox:…'),
    undefined,
    'Where mails go. Unset: folder `outbox` in the data folder.',
  ),
  logLevel: setting('LOG_LEVEL', word('debug', 'info', 'warn', 'error', 'silent'), 'info', 'What is logged.'),
  logFormat: setting(
    'LOG_FORMAT',
    word('auto', 'pretty', 'json'),
    'auto',
    'Form of the log: `auto` is pretty on a terminal and JSON elsewhere.',
  ),
  shutdownGraceMs: setting(
    'SHUTDOWN_GRACE',
    wait(0),
    '20s',
    'How long running work may go on after SIGTERM before it is handed back.',
  ),
} as const;

/**
 * Names of the family that choose servers. They are refused for now, because starting on embedded stores in spite of
 * them would put data where nobody looks for it.
 */
export const NOT_YET: readonly string[] = [
  'AUTH_SVC_ADDRESS',
  'AUTH_URL',
  'GMAIL_PASSWORD',
  'MONGODB_MP3S_URI',
  'MONGODB_URI',
  'MONGODB_VIDEOS_URI',
  'MONGO_URI',
  'MYSQL_HOST',
  'RABBITMQ_HOST',
  'SMTP_HOST',
  'SMTP_SERVER',
];

type Table = typeof SETTINGS;
type Value<S> = S extends Setting<infer T, infer D> ? (D extends string ? T : T | undefined) : never;

/** What all settings together say. */
export type Settings = { readonly [K in keyof Table]: Value<Table[K]> };

export type SettingName = keyof Table;

/** The flag of a setting: `AUDIOWAVE_PORT` → `port`, `MAX_UPLOAD` → `max-upload`; secrets have none. */
export function flagOf(one: Setting<unknown>): string | undefined {
  return one.secret
    ? undefined
    : one.env
        .replace(/^AUDIOWAVE_/, '')
        .toLowerCase()
        .replaceAll('_', '-');
}
