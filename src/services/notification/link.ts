import { addLink, type Conversion } from '../../domain/conversion.ts';
import { downloadLinkUrl, mintDownloadToken } from '../../domain/download-token.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';

export interface Link {
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * A one-click link for a mail. Each try of a mail makes its own: the token itself is kept nowhere, and a mail that an
 * earlier try did send must go on working.
 */
export async function mintLink(
  conversions: ConversionStore,
  conversion: Conversion,
  options: { readonly publicUrl: string; readonly linkTtlMs: number },
): Promise<Link> {
  const now = Date.now();
  const { token, link } = mintDownloadToken(options.linkTtlMs, now);
  const updated = await conversions.update(conversion.id, (current) => addLink(current, link, now));
  if (updated === undefined)
    throw new AudiowaveError('conversion.unknown', undefined, { detail: 'removed before its mail' });
  return { url: downloadLinkUrl(options.publicUrl, token), expiresAt: link.expiresAt };
}
