import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** The only block of IPv6 that is given out to hosts (IANA, "IPv6 Address Space"). */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/** The middle of an ISATAP address (RFC 5214, 6.1), whose end is an IPv4 address of any kind. */
const ISATAP = 0x5efe;

/**
 * True only for plain global unicast addresses. Everything of the IANA special-purpose registries is none: private,
 * loopback, link-local, shared (CGNAT), benchmarking, documentation, multicast, reserved; and so is every IPv6 form that
 * carries an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP), even a public one: no name
 * server has a good reason to give it.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0 || address.includes('%')) return false;
  const parsed = ipaddr.parse(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.range() === 'unicast';
  return parsed.range() === 'unicast' && parsed.match(GLOBAL_UNICAST) && parsed.parts[5] !== ISATAP;
}
