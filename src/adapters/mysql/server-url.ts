import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { AudiowaveError } from '../../domain/errors.ts';

/** How the connection is protected: not at all, with the certificate checked, or encrypted for whoever answers. */
type Tls = 'off' | 'on' | 'unchecked';

/** Where a MySQL or MariaDB is, and as whom it is entered. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: Tls;
  /** PEM text of the certificates that are trusted instead of the public ones. */
  readonly ca: string | undefined;
  /** For people: `mysql://host:3306/auth`, without credentials. */
  readonly place: string;
}

const FORM = 'mysql://user:password@host:3306/database';
const DEFAULT_PORT = 3306;

/**
 * Reads `mysql://user:password@host:port/database` (or `mariadb://`), with what a URL reserves percent-encoded. The
 * query may say
 * - `tls=on`: encrypted, with the server's certificate and name checked (so the host must be a name); `tls=unchecked`: encrypted only; `tls=off`;
 * - `tls_ca=/path/ca.pem`: the authority of the certificate, for one that is not public; means `tls=on`.
 *
 * `config.invalid` for anything else. No message repeats the URL: it holds a password.
 */
export function parseServerUrl(text: string): ServerAddress {
  const url = URL.parse(text);
  if (url === null || !['mysql:', 'mariadb:'].includes(url.protocol) || url.hostname === '') {
    throw invalid(
      `is not of the form ${FORM}; percent-encode what a URL reserves, @ / # ? : in a password for example`,
    );
  }
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(decode) as [
    string,
    string,
    string,
  ];
  if (user === '') throw invalid(`names no user; the form is ${FORM}`);
  if (database === '' || database.includes('/')) throw invalid(`names no database; the form is ${FORM}`);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const protection = readTls(url.searchParams);
  // The driver checks the certificate for a name only; for an address it would check it for "localhost".
  if (protection.tls === 'on' && isIP(host) !== 0) {
    throw invalid(
      "names an address, for which no certificate can be checked; write the server's name, or tls=unchecked",
    );
  }
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  return {
    host,
    port,
    user,
    password,
    database,
    ...protection,
    place: `mysql://${url.hostname}:${String(port)}/${database}`,
  };
}

function readTls(query: URLSearchParams): Pick<ServerAddress, 'tls' | 'ca'> {
  for (const name of query.keys()) {
    if (name !== 'tls' && name !== 'tls_ca') throw invalid(`has a parameter that is not known: ${name}`);
  }
  const file = query.get('tls_ca') ?? undefined;
  const tls = query.get('tls') ?? (file === undefined ? 'off' : 'on');
  if (tls !== 'off' && tls !== 'on' && tls !== 'unchecked')
    throw invalid('has a tls other than on, unchecked or off');
  if (file !== undefined && tls !== 'on') throw invalid(`names tls_ca, which means nothing with tls=${tls}`);
  return { tls, ca: file === undefined ? undefined : readCa(file) };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw invalid('names a tls_ca that cannot be read', cause);
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw invalid('has a % that encodes nothing; write %25 for it', cause);
  }
}

function invalid(what: string, cause?: unknown): AudiowaveError {
  return new AudiowaveError('config.invalid', `The URL of the user database ${what}.`, { cause });
}
