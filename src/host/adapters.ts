import { AudiowaveError } from '../domain/errors.ts';
import type { AuthApi } from '../ports/auth-api.ts';
import type { Broker } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { Mailer, Outbox } from '../ports/mailer.ts';
import type { UserStore } from '../ports/user-store.ts';

/** What an adapter is opened with besides its URL. */
export interface OpenContext {
  /** For what it notices by itself. */
  readonly log: Logger;
  /** How long the broker waits for an acknowledgement. */
  readonly ackTimeoutMs: number;
}

/** Opens the adapter of a whole URL, credentials included. */
type Open<P> = (url: string, context: OpenContext) => Promise<P>;
type Schemes<P> = Readonly<Record<string, Open<P>>>;

// Adapters are imported when they are opened, so that a driver nobody needs is never loaded.

const mysql: Open<UserStore> = async (url, { log }) =>
  (await import('../adapters/mysql/user-store.ts')).MySqlUserStore.open(url, { log });

const USER_STORES: Schemes<UserStore> = {
  sqlite: async (url) =>
    (await import('../adapters/sqlite/user-store.ts')).SqliteUserStore.open(placeOf(url)),
  mysql,
  mariadb: mysql,
};

const mongoConversions: Open<ConversionStore> = async (url, { log }) =>
  (await import('../adapters/mongodb/conversion-store.ts')).MongoConversionStore.open(url, { log });

const CONVERSION_STORES: Schemes<ConversionStore> = {
  sqlite: async (url) =>
    (await import('../adapters/sqlite/conversion-store.ts')).SqliteConversionStore.open(placeOf(url)),
  mongodb: mongoConversions,
  'mongodb+srv': mongoConversions,
};

const gridFs: Open<FileStore> = async (url, { log }) =>
  (await import('../adapters/mongodb/file-store.ts')).GridFsFileStore.open(url, { log });

const FILE_STORES: Schemes<FileStore> = {
  file: async (url) => (await import('../adapters/disk/file-store.ts')).DiskFileStore.open(placeOf(url)),
  mongodb: gridFs,
  'mongodb+srv': gridFs,
};

const rabbitMq: Open<Broker> = async (url, { log, ackTimeoutMs }) =>
  (await import('../adapters/rabbitmq/broker.ts')).RabbitMqBroker.open(url, { log, ackTimeoutMs });

const BROKERS: Schemes<Broker> = {
  sqlite: async (url, { log }) =>
    (await import('../adapters/sqlite/broker.ts')).SqliteBroker.open(placeOf(url), {
      onError: (error) => {
        log.error({ err: error }, 'queue does not answer; trying again');
      },
    }),
  amqp: rabbitMq,
  amqps: rabbitMq,
};

const smtp: Open<Mailer> = async (url, { log }) =>
  (await import('../adapters/smtp/mailer.ts')).SmtpMailer.open(url, { log });

const MAILERS: Schemes<Mailer & Partial<Outbox>> = {
  outbox: async (url, { log }) =>
    (await import('../adapters/outbox/mailer.ts')).OutboxMailer.open(placeOf(url), {
      onStored: (mail, path) => {
        log.info({ to: mail.to, subject: mail.subject, file: path }, 'mail stored in the outbox');
      },
    }),
  smtp,
  smtps: smtp,
};

const httpAuth: Open<AuthApi> = async (url, { log }) =>
  (await import('../adapters/http/auth-api.ts')).HttpAuthApi.open(url, { log });

const AUTH_APIS: Schemes<AuthApi> = { http: httpAuth, https: httpAuth };

/** Which table opens which port, with the setting that names its URL. */
export const ADAPTERS = {
  users: { setting: 'USERS_URL', schemes: USER_STORES },
  conversions: { setting: 'CONVERSIONS_URL', schemes: CONVERSION_STORES },
  videos: { setting: 'VIDEOS_URL', schemes: FILE_STORES },
  mp3s: { setting: 'MP3S_URL', schemes: FILE_STORES },
  broker: { setting: 'BROKER_URL', schemes: BROKERS },
  mail: { setting: 'MAIL_URL', schemes: MAILERS },
  auth: { setting: 'AUTH_URL', schemes: AUTH_APIS },
} as const;

/** Opens the adapter that `url` names; `config.invalid` for a scheme that nobody here speaks. */
export async function openAdapter<P>(
  port: { setting: string; schemes: Schemes<P> },
  url: string,
  context: OpenContext,
): Promise<P> {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(url)?.[1];
  const open = scheme !== undefined && Object.hasOwn(port.schemes, scheme) ? port.schemes[scheme] : undefined;
  if (open === undefined) {
    const known = Object.keys(port.schemes).map((name) => `${name}:`);
    throw new AudiowaveError('config.invalid', `${port.setting} must begin with ${known.join(' or ')}.`);
  }
  return open(url, context);
}

/** The path of `sqlite:…`, `file:…` and `outbox:…`, with two slashes before it or without. */
function placeOf(url: string): string {
  return url.replace(/^[a-z]+:/, '').replace(/^\/\/(?=\/)/, '');
}
