import { createHmac } from 'node:crypto';

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token as another implementation signs it, made with nothing of ours (RFC 7515, 3.1). */
export function foreignToken(
  secret: string,
  claims: object,
  header: { readonly alg: string; readonly typ?: string } = { alg: 'HS256', typ: 'JWT' },
): string {
  const digest = { HS384: 'sha384', HS512: 'sha512' }[header.alg] ?? 'sha256';
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createHmac(digest, secret).update(input).digest('base64url')}`;
}

/** The claims of the original: no role. Good for an hour from now. */
export function foreignClaims(username: string): {
  username: string;
  exp: number;
  iat: number;
  admin: boolean;
} {
  const now = Math.floor(Date.now() / 1000);
  return { username, exp: now + 3600, iat: now, admin: true };
}
