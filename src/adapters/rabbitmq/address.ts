import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'rabbitmq-client';
import { AudiowaveError } from '../../domain/errors.ts';

/** Where the broker is and who asks. */
export interface Address {
  readonly options: Readonly<ConnectionOptions>;
  /** For people and logs, without the password: `amqp://host:5672/vhost`. */
  readonly place: string;
  readonly user: string;
}

const PORTS = { 'amqp:': 5672, 'amqps:': 5671 } as const;

/**
 * Reads `amqp[s]://user:password@host[:port][/vhost][?…]` (RabbitMQ URI specification: an empty path is the virtual host
 * `/`, a slash in its name is written %2F). `amqps:` checks the certificate, for the host's name.
 * - `tls_ca=<file>`: a PEM file with the authorities that may have signed it, for one that is not public;
 * - `heartbeat=<seconds>`: a broker that is silent for twice as long is away; 20 where nothing is said.
 *
 * `config.invalid` where it is anything else.
 */
export function readAddress(text: string): Address {
  const url = URL.parse(text);
  const protocol = url?.protocol;
  if (url === null || (protocol !== 'amqp:' && protocol !== 'amqps:') || url.hostname === '') {
    throw invalid('it must have the form amqp://user:password@host:5672/vhost');
  }
  const parts = [url.username, url.password, url.pathname.slice(1)].map(decode);
  const [username, password, vhost] = parts as [string, string, string];
  if (username === '') throw invalid('it must name a user');
  const port = url.port === '' ? PORTS[protocol] : Number(url.port);
  const query = url.searchParams;
  for (const key of query.keys()) {
    if (key !== 'heartbeat' && key !== 'tls_ca')
      throw invalid(`it knows heartbeat and tls_ca only, not "${key}"`);
  }
  const heartbeat = Number(query.get('heartbeat') ?? DEFAULT_HEARTBEAT_S);
  if (!Number.isInteger(heartbeat) || heartbeat < 0) throw invalid('heartbeat must be whole seconds');
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    options: {
      hostname,
      port,
      username,
      password,
      vhost: vhost || '/',
      tls: protection(protocol, query.get('tls_ca')),
      heartbeat,
    },
    place: `${protocol}//${url.hostname}:${String(port)}/${vhost}`,
    user: username,
  };
}

const DEFAULT_HEARTBEAT_S = 20;

function protection(
  protocol: keyof typeof PORTS,
  caFile: string | null,
): NonNullable<ConnectionOptions['tls']> {
  if (caFile === null) return protocol === 'amqps:';
  if (protocol === 'amqp:') throw invalid('tls_ca goes with amqps://');
  try {
    return { ca: readFileSync(caFile, 'utf8') };
  } catch {
    throw invalid('the file that tls_ca names can not be read');
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid('it has a % that encodes nothing; write %25 for it');
  }
}

function invalid(reason: string): AudiowaveError {
  // The address itself stays out of it: it holds the password.
  return new AudiowaveError('config.invalid', `The address of RabbitMQ can't be used: ${reason}.`);
}
