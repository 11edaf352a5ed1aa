import { isIP, type LookupFunction } from 'node:net';
import { AudiowaveError } from '../../../domain/errors.ts';
import type { ImportAllowList } from './import-allow-list.ts';
import { isPublicAddress } from './public-address.ts';

/** One address of a host. */
export interface HostAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a host name, as the system resolves it. */
export type LookupAll = (hostname: string) => Promise<readonly HostAddress[]>;

/**
 * The addresses to which a connection to `url` may go. The name is looked up once, and every address is checked: where
 * one is forbidden all are, since the next connection could get that one. `import.url-not-allowed`, and `import.failed`
 * for a name that has no address. The message never tells what a name resolves to; the detail for the log does.
 */
export async function resolveTarget(
  url: URL,
  allow: ImportAllowList,
  lookup: LookupAll,
): Promise<readonly HostAddress[]> {
  const host = hostOf(url);
  const family = isIP(host);
  if (family === 0 && isLocalName(host) && !allow.hasHost(host)) throw forbidden(host, 'a local name');
  const addresses = family === 0 ? await lookUp(host, lookup) : [{ address: host, family }];
  if (allow.hasHost(host)) return addresses;
  for (const { address } of addresses) {
    if (!isPublicAddress(address) && !allow.hasAddress(address)) throw forbidden(host, address);
  }
  return addresses;
}

/** A `lookup` for net.connect that gives only the checked addresses: nobody asks the name server a second time. */
export function pinnedLookup(addresses: readonly HostAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };
}

/** The host as it is compared: WHATWG's form (lower case, odd numbers made plain), without brackets and one trailing dot. */
function hostOf(url: URL): string {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  if (host === '' || host.endsWith('.') || host.includes('..')) throw forbidden(url.hostname, 'no host name');
  return host;
}

/** Names that mean this machine by definition (RFC 6761, 6.3), whatever a name server says. */
function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

async function lookUp(host: string, lookup: LookupAll): Promise<readonly HostAddress[]> {
  let cause: unknown;
  try {
    const addresses = await lookup(host);
    if (addresses.length > 0) return addresses;
  } catch (error) {
    cause = error;
  }
  throw new AudiowaveError('import.failed', 'The host name of the URL is not known.', {
    cause,
    detail: `${host}: ${cause instanceof Error ? cause.message : 'no address'}`,
  });
}

function forbidden(host: string, what: string): AudiowaveError {
  return new AudiowaveError('import.url-not-allowed', 'Audiowave does not fetch from the host of this URL.', {
    detail: `${host}: ${what}`,
  });
}
