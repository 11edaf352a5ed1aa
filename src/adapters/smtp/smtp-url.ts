import { readFileSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { AudiowaveError } from '../../domain/errors.ts';

/** How a connection to the mail server is protected. */
export interface SmtpProtection {
  /** TLS from the first byte (RFC 8314, 3). */
  readonly implicit: boolean;
  /**
   * STARTTLS (RFC 3207): `offered` takes it where the server has it, `required` sends nothing without it, `off` never
   * asks for it.
   */
  readonly startTls: 'offered' | 'required' | 'off';
  /** False: any certificate will do. */
  readonly checkCertificate: boolean;
  /** PEM certificates of authorities that are trusted instead of the usual ones. */
  readonly authorities: string | undefined;
}

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  readonly protection: SmtpProtection;
}

const TLS_WORDS = ['on', 'unchecked', 'off'];

/**
 * What a `smtp://[user:password@]host[:port][?tls=…][&tls_ca=…]` or `smtps://…` URL says. Ports: 587 and 465 where none
 * is named. With credentials a `smtp:` connection must become encrypted before they are sent.
 * - `tls=on`: never without encryption; `tls=unchecked`: encrypted where it would be otherwise, but whoever the
 *   certificate names; `tls=off`: never encrypted, credentials included;
 * - `tls_ca=<file>`: a PEM file with the authorities that may have signed the certificate.
 *
 * Throws `config.invalid`, without the URL's secrets.
 */
export function parseSmtpUrl(url: string): SmtpSettings {
  const { protocol, hostname, port, username, password, pathname, searchParams, hash } = parse(url);
  const implicit = protocol === 'smtps:';
  if (!implicit && protocol !== 'smtp:') throw invalid('it must begin with smtp:// or smtps://');
  const host = hostOf(hostname);
  if (host === '') throw invalid('it names no host');
  if ((pathname !== '' && pathname !== '/') || hash !== '') throw invalid('nothing follows the host but ?…');
  if ((username === '') !== (password === '')) throw invalid('a user name and a password go together');
  const credentials = username === '' ? undefined : { user: decode(username), password: decode(password) };
  return {
    host,
    port: port === '' ? (implicit ? 465 : 587) : Number(port),
    credentials,
    protection: protectionOf(searchParams, implicit, credentials !== undefined),
  };
}

function protectionOf(query: URLSearchParams, implicit: boolean, hasCredentials: boolean): SmtpProtection {
  for (const key of query.keys()) {
    if (key !== 'tls' && key !== 'tls_ca') throw invalid(`it knows tls and tls_ca only, not "${key}"`);
  }
  const word = query.get('tls');
  if (word !== null && !TLS_WORDS.includes(word)) throw invalid(`tls is one of ${TLS_WORDS.join(', ')}`);
  if (word === 'off' && implicit) throw invalid('smtps:// is always encrypted; tls=off goes with smtp://');
  const required = word === 'on' || hasCredentials;
  return {
    implicit,
    startTls: word === 'off' ? 'off' : required ? 'required' : 'offered',
    checkCertificate: word !== 'unchecked',
    authorities: readAuthorities(query.get('tls_ca')),
  };
}

function readAuthorities(path: string | null): string | undefined {
  if (path === null) return undefined;
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid('the file that tls_ca names can not be read', cause);
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw invalid('the file that tls_ca names holds no certificate');
  return pem;
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch {
    // Its own error would show the URL.
    throw invalid('it is no URL; characters such as @ in a password are written %40');
  }
}

/** Without the brackets of an IPv6 address, and as DNS wants it. */
function hostOf(hostname: string): string {
  const bare = decode(hostname).replace(/^\[(.*)\]$/, '$1');
  return bare.includes(':') ? bare : domainToASCII(bare);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('a % in it is not followed by two hexadecimal digits');
  }
}

function invalid(why: string, cause?: unknown): AudiowaveError {
  return new AudiowaveError('config.invalid', `The URL of the mail server is malformed: ${why}.`, { cause });
}
