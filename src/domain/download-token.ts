import { createHash, randomBytes } from 'node:crypto';
import type { DownloadLink } from './conversion.ts';

/** A new random token of a one-click link (256 bits, base64url) and what the record keeps of it. */
export function mintDownloadToken(ttlMs: number, now: number): { token: string; link: DownloadLink } {
  const token = randomBytes(32).toString('base64url');
  return { token, link: { tokenHash: hashDownloadToken(token), expiresAt: now + ttlMs } };
}

/** SHA-256, hex. The token has 256 random bits, so that a plain hash can't be searched. */
export function hashDownloadToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Where a one-click link of `publicUrl` (no slash at its end) leads. */
export function downloadLinkUrl(publicUrl: string, token: string): string {
  return `${publicUrl}/d/${token}`;
}
