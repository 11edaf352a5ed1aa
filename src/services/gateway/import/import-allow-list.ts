import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import ipaddr from 'ipaddr.js';
import { AudiowaveError } from '../../../domain/errors.ts';

type Network = ReturnType<typeof ipaddr.parseCIDR>;

/** The entries of `IMPORT_ALLOW`: host names, addresses and CIDRs from which may be fetched though they are not public. */
export class ImportAllowList {
  readonly #hosts = new Set<string>();
  readonly #networks: Network[] = [];

  /** `config.invalid` for an entry that is none of the three. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) this.#add(entry);
  }

  /** True where the host is named: whatever address it has, it is allowed. */
  hasHost(host: string): boolean {
    return this.#hosts.has(host);
  }

  /** True where the address is named or lies in a network that is, whichever host has it. */
  hasAddress(address: string): boolean {
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.parse(address);
    return this.#networks.some(
      ([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits),
    );
  }

  #add(entry: string): void {
    const text = entry
      .trim()
      .toLowerCase()
      .replace(/^\[(.*)\]$/, '$1');
    const [address = '', bits, ...rest] = text.split('/');
    const isCidr = isIP(address) !== 0 && rest.length === 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    if (isCidr) {
      const network = `${address}/${bits ?? (isIP(address) === 4 ? '32' : '128')}`;
      if (!ipaddr.isValidCIDR(network)) throw invalid(entry);
      this.#networks.push(ipaddr.parseCIDR(network));
      return;
    }
    const host = domainToASCII(text.replace(/\.$/, ''));
    if (!/^[a-z0-9_]([\w-]*)(\.[a-z0-9_][\w-]*)*$/.test(host) || isIP(host) !== 0) throw invalid(entry);
    this.#hosts.add(host);
  }
}

function invalid(entry: string): AudiowaveError {
  return new AudiowaveError(
    'config.invalid',
    `IMPORT_ALLOW: ${JSON.stringify(entry)} is no host name, address or CIDR such as 10.0.0.0/8.`,
  );
}
