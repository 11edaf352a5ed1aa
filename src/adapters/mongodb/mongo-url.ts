import { MongoClient, type MongoClientOptions } from 'mongodb';
import { AudiowaveError } from '../../domain/errors.ts';
import { withoutSecrets, type MongoPlace } from './mongo-errors.ts';

/** What a URL of MongoDB says. */
export interface MongoTarget {
  /** Not connected. */
  readonly client: MongoClient;
  readonly database: string;
  readonly place: MongoPlace;
  /** Equal for two URLs that differ in the database only, so that they may share one client. */
  readonly server: string;
}

const FORM =
  /^(?<scheme>mongodb(?:\+srv)?:\/\/)(?:(?<login>[^@/?]*)@)?(?<hosts>[^/?]+)(?:\/(?<name>[^?]*))?(?<query>\?.*)?$/;

/**
 * Reads a connection string (MongoDB manual, "Connection Strings"); `options` win over those that it carries.
 * Throws `config.invalid`, without the URL, where the driver can't read it.
 */
export function readMongoUrl(
  url: string,
  fallbackDatabase: string,
  options: MongoClientOptions,
): MongoTarget {
  const parts = FORM.exec(url)?.groups;
  if (parts === undefined) throw invalid('it is not of the form mongodb://user:password@host:port/database');
  const { scheme = '', login, hosts = '', name = '', query = '' } = parts;
  const [user, password] = login?.split(':', 2) ?? [];
  const secrets = [url, login, password, decoded(password)].filter(
    (secret) => secret !== undefined && secret !== '',
  );
  const database = decoded(name) ?? '';
  const client = clientOf(url, options, secrets as string[]);
  const place = {
    shown: `${scheme}${hosts}/${database === '' ? fallbackDatabase : database}`,
    user: decoded(user),
    secrets: secrets as string[],
  };
  // The database of a URL is also where its user stands, unless `authSource` says otherwise.
  const source = client.options.credentials?.source ?? '';
  const server = JSON.stringify([scheme, login, hosts, query, source]);
  return { client, database: database === '' ? fallbackDatabase : database, place, server };
}

function clientOf(url: string, options: MongoClientOptions, secrets: string[]): MongoClient {
  try {
    return new MongoClient(url, options);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw invalid(withoutSecrets(words, { secrets }));
  }
}

function invalid(reason: string): AudiowaveError {
  return new AudiowaveError('config.invalid', `The URL of MongoDB can't be read: ${reason}.`);
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
