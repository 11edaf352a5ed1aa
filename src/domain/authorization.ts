/** The pair of an `Authorization: Basic` header (RFC 7617), or undefined where the header is none. */
export function parseBasic(header: string | undefined): { email: string; password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '');
  if (match?.[1] === undefined) return undefined;
  const pair = Buffer.from(match[1], 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : { email: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

/** The token of an `Authorization: Bearer` header (RFC 6750, 2.1); the second word, whatever follows; undefined where there is none. */
export function parseBearer(header: string | undefined): string | undefined {
  return /^\S+ +(\S+)/.exec(header ?? '')?.[1];
}
