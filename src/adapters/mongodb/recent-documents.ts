import type { FileId } from '../../domain/ids.ts';
import type { ConversionDocument } from './conversion-document.ts';

/** The most documents that are kept; a message of others may have put some kilobytes into one. */
const MOST = 256;

/**
 * The documents that this process has written last. Whoever goes on with a record need not read it again: a write is
 * conditional on its version, and where that says that somebody else was there the document is read after all.
 */
export class RecentDocuments {
  readonly #documents = new Map<string, ConversionDocument>();

  keep(document: ConversionDocument): void {
    const id = document._id.toHexString();
    this.#documents.delete(id);
    this.#documents.set(id, document);
    if (this.#documents.size <= MOST) return;
    const [oldest] = this.#documents.keys();
    if (oldest !== undefined) this.#documents.delete(oldest);
  }

  /** Gives the document away: it is good for one try. */
  take(id: FileId): ConversionDocument | undefined {
    const document = this.#documents.get(id);
    this.#documents.delete(id);
    return document;
  }
}
