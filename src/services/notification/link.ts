import { addLink, type Conversion } from '../../domain/conversion.ts';
import { downloadLinkUrl, hashDownloadToken, mintDownloadToken } from '../../domain/download-token.ts';
import type { FileId } from '../../domain/ids.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';

export interface Link {
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

interface KeptLink {
  readonly token: string;
  readonly expiresAt: number;
}

const MOST_KEPT = 1_000;

/**
 * The one-click links of mails. The tokens of mails that are not out yet are kept in memory, so that the tries of one
 * mail share a link: a mail that an earlier try did send goes on working, and a mail server that is away for long does
 * not push the other links of the conversion out of its record.
 */
export class MailLinks {
  readonly #conversions: ConversionStore;
  readonly #publicUrl: string;
  readonly #ttlMs: number;
  readonly #kept = new Map<FileId, KeptLink>();

  constructor(
    conversions: ConversionStore,
    options: { readonly publicUrl: string; readonly linkTtlMs: number },
  ) {
    this.#conversions = conversions;
    this.#publicUrl = options.publicUrl;
    this.#ttlMs = options.linkTtlMs;
  }

  /** Undefined where the conversion or its MP3 is gone meanwhile. */
  async linkOf(conversion: Conversion): Promise<Link | undefined> {
    const kept = this.#stillGood(conversion) ?? (await this.#mint(conversion));
    if (kept === undefined) return undefined;
    return { url: downloadLinkUrl(this.#publicUrl, kept.token), expiresAt: kept.expiresAt };
  }

  /** The mail is out, or never will be. */
  forget(id: FileId): void {
    this.#kept.delete(id);
  }

  #stillGood({ id, links }: Conversion): KeptLink | undefined {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.expiresAt - Date.now() < this.#ttlMs / 2) return undefined;
    const hash = hashDownloadToken(kept.token);
    return links.some(({ tokenHash }) => tokenHash === hash) ? kept : undefined;
  }

  async #mint({ id }: Conversion): Promise<KeptLink | undefined> {
    this.forget(id);
    const now = Date.now();
    const { token, link } = mintDownloadToken(this.#ttlMs, now);
    const updated = await this.#conversions.update(id, (current) => addLink(current, link, now));
    if (updated === undefined) return undefined;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined && this.#kept.size >= MOST_KEPT) this.#kept.delete(oldest);
    const kept = { token, expiresAt: link.expiresAt };
    this.#kept.set(id, kept);
    return kept;
  }
}
