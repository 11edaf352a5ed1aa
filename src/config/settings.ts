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

/** Which adapters stand behind the ports where no URL says otherwise. */
export type ProfileName = 'embedded' | 'distributed';

/** One setting: an environment variable and, unless it is a secret, a flag of the same name. */
export interface Setting<T, D extends string | undefined = string | undefined> {
  readonly env: string;
  readonly form: Form<T>;
  /** Text that is read where nothing is set; undefined: none, and the doc says what happens then. */
  readonly fallback: D;
  /** What people read in its place, where the fallback depends on the machine. */
  readonly fallbackSays?: string;
  readonly doc: string;
  /** The fallback in profile `distributed`, where it is another. */
  readonly distributed?: string;
  /** Never taken from a flag (other users of the machine see those) and never shown. */
  readonly secret?: true;
  /** A URL that may carry a password: never shown, and taken from a flag only where it carries none. */
  readonly isUrl?: true;
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

function url(env: string, schemes: string, doc: string): Setting<string, undefined> {
  return { env, form: text(`URL: ${schemes}`), fallback: undefined, doc, isUrl: true };
}

function distributedIs<S extends Setting<unknown>>(distributed: string, one: S): S {
  return { ...one, distributed };
}

/** Every setting of Audiowave. `docs/configuration.md` is kept equal to this table by a test. */
export const SETTINGS = {
  profile: setting(
    'AUDIOWAVE_PROFILE',
    word('embedded', 'distributed'),
    undefined,
    'What stands behind the roles where no URL says otherwise: files of the data folder, or the servers under the names that the family gives them. Unset: `distributed` where a name of the family chooses a server (see below), else `embedded`.',
  ),
  dataFolder: setting(
    'AUDIOWAVE_DATA',
    text('folder'),
    './data',
    'Where everything lies that is kept on this machine.',
  ),
  host: distributedIs(
    '0.0.0.0',
    setting(
      'AUDIOWAVE_HOST',
      text('address'),
      '127.0.0.1',
      'Address to listen on. Another than the loopback closes registration unless `REGISTRATION` says otherwise.',
    ),
  ),
  port: setting('AUDIOWAVE_PORT', port, '8080', 'Port of the gateway.'),
  authPort: setting(
    'AUDIOWAVE_AUTH_PORT',
    port,
    '5000',
    'Port of auth; opened only where auth runs without the gateway.',
  ),
  healthPort: setting(
    'AUDIOWAVE_HEALTH_PORT',
    port,
    '8081',
    'Port of the probes `/healthz` and `/readyz`; opened only where neither gateway nor auth runs, which answer them themselves.',
  ),
  publicUrl: distributedIs(
    'http://mp3converter.com',
    setting(
      'AUDIOWAVE_PUBLIC_URL',
      httpUrl,
      undefined,
      'Base of the links in mails. Unset: the address the gateway listens on.',
    ),
  ),
  trustedProxies: setting(
    'TRUSTED_PROXIES',
    networks,
    '',
    'Proxies whose `X-Forwarded-*` headers are believed. Unset: auth alone believes gateways in private networks, others nobody.',
  ),
  registration: distributedIs(
    'closed',
    setting(
      'REGISTRATION',
      word('open', 'closed'),
      undefined,
      'Whether people may make accounts themselves. Unset: open on the loopback, closed elsewhere.',
    ),
  ),
  jwtSecret: secret(
    'JWT_SECRET',
    'Signs tokens. Unset: made at the first start and kept in the data folder, readable for its owner only. Required where auth keeps its accounts on a server.',
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
    undefined,
    'Sender of mails where `GMAIL_ADDRESS` is not set. Unset: who logs in at the mail server, where that is an e-mail address; else `audiowave@localhost`.',
  ),
  gmailAddress: setting('GMAIL_ADDRESS', email, undefined, 'Sender of mails, as the family names it.'),
  usersUrl: url(
    'USERS_URL',
    'sqlite:…, mysql://…',
    'Where accounts are kept. Unset: `users.sqlite` in the data folder; distributed: required by auth.',
  ),
  conversionsUrl: url(
    'CONVERSIONS_URL',
    'sqlite:…, mongodb://…',
    "Where the records of conversions are kept. Unset: database `audiowave` of the MP3s' MongoDB; where they are in none, `conversions.sqlite` in the data folder.",
  ),
  videosUrl: url(
    'VIDEOS_URL',
    'file:…, mongodb://…',
    'Where videos are kept. Unset: `videos` in the data folder; distributed: database `videos` of `mongodb://host.minikube.internal:27017`.',
  ),
  mp3sUrl: url(
    'MP3S_URL',
    'file:…, mongodb://…',
    'Where MP3s are kept. Unset: `mp3s` in the data folder; distributed: database `mp3s` of `mongodb://host.minikube.internal:27017`.',
  ),
  brokerUrl: url(
    'BROKER_URL',
    'sqlite:…, amqp://…, amqps://…',
    'Where messages are kept. Unset: `queues.sqlite` in the data folder; distributed: `amqp://guest:guest@rabbitmq:5672`.',
  ),
  brokerAckTimeoutMs: setting(
    'BROKER_ACK_TIMEOUT',
    wait(60_000),
    '30m',
    "The broker's own limit on how long a message may stay unacknowledged (`consumer_timeout` of RabbitMQ). Longer conversions are handed over before it strikes.",
  ),
  mailUrl: url(
    'MAIL_URL',
    'outbox:…, smtp://…, smtps://…',
    'Where mails go. Unset: folder `outbox` in the data folder; distributed: required by notification.',
  ),
  authUrl: url(
    'AUTH_URL',
    'http://…, https://…',
    'Where the gateway asks auth. Unset: within its own process; distributed: `http://auth:5000`, unless auth runs beside it.',
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
