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
 * Reads `amqp[s]://user:password@host[:port][/vhost]` (RabbitMQ URI specification: an empty path is the virtual host
 * `/`, a slash in its name is written %2F). `amqps:` checks the certificate against Node's authorities, NODE_EXTRA_CA_CERTS
 * included. `config.invalid` where it is anything else.
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
  const heartbeat = Number(url.searchParams.get('heartbeat') ?? DEFAULT_HEARTBEAT_S);
  if (!Number.isInteger(heartbeat) || heartbeat < 0) throw invalid('heartbeat must be whole seconds');
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    options: {
      hostname,
      port,
      username,
      password,
      vhost: vhost || '/',
      tls: protocol === 'amqps:',
      heartbeat,
    },
    place: `${protocol}//${url.hostname}:${String(port)}/${vhost}`,
    user: username,
  };
}

/** A broker that is silent for twice this is away. */
const DEFAULT_HEARTBEAT_S = 20;

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
