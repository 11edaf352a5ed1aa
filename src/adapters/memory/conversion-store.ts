import { checkPageLimit, nextVersion, sweepKeys, type SweepKeys } from '../../domain/conversion-record.ts';
import type { Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { decodeCursor, encodeCursor, type ListPlace } from '../../domain/list-cursor.ts';
import { emailKey } from '../../domain/user.ts';
import type { Change, ConversionPage, ConversionStore } from '../../ports/conversion-store.ts';

const KEPT = { video: 'videoKeptSince', mp3: 'mp3KeptSince', drafts: 'draftsNamedSince' } as const;

const AWAITING = { conversion: 'queuedSince', mail: 'mailDueSince' } as const;

/** Records of conversions of one process, gone with it; for tests. */
export class MemoryConversionStore implements ConversionStore {
  readonly #records = new Map<FileId, Conversion>();
  #open = true;

  async create(conversion: Conversion): Promise<void> {
    await this.check();
    if (this.#records.has(conversion.id)) throw new AudiowaveError('conversion.exists');
    this.#records.set(conversion.id, structuredClone(conversion));
  }

  find(id: FileId): Promise<Conversion | undefined> {
    return this.#first((c) => c.id === id);
  }

  findOwned(id: FileId, owner: string): Promise<Conversion | undefined> {
    return this.#first((c) => c.id === id && emailKey(c.owner) === emailKey(owner));
  }

  findByMp3(mp3Fid: FileId): Promise<Conversion | undefined> {
    return this.#first((c) => c.mp3Fid === mp3Fid);
  }

  findByLink(tokenHash: string): Promise<Conversion | undefined> {
    return this.#first((c) => c.links.some((link) => link.tokenHash === tokenHash));
  }

  async list(
    owner: string,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<ConversionPage> {
    await this.check();
    const { limit, cursor } = options;
    checkPageLimit(limit);
    const place = cursor === undefined ? undefined : decodeCursor(cursor);
    const found = [...this.#records.values()]
      .filter((c) => emailKey(c.owner) === emailKey(owner))
      .filter((c) => place === undefined || newestFirst(place, c) < 0)
      .sort(newestFirst);
    const conversions = found.slice(0, limit);
    const last = conversions.at(-1);
    return {
      conversions: structuredClone(conversions),
      next: found.length > limit && last !== undefined ? encodeCursor(last) : undefined,
    };
  }

  async update(id: FileId, change: Change): Promise<Conversion | undefined> {
    await this.check();
    const current = this.#records.get(id);
    const next = current === undefined ? undefined : nextVersion(structuredClone(current), change);
    if (next === undefined) return undefined;
    this.#records.set(id, structuredClone(next));
    return next;
  }

  async remove(id: FileId): Promise<boolean> {
    await this.check();
    return this.#records.delete(id);
  }

  unpublished(before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due('unpublishedSince', before, limit);
  }

  leaseExpired(before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due('leaseUntil', before, limit);
  }

  retentionDue(kind: keyof typeof KEPT, before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due(KEPT[kind], before, limit);
  }

  awaiting(kind: keyof typeof AWAITING, before: number, limit: number): Promise<readonly Conversion[]> {
    return this.#due(AWAITING[kind], before, limit);
  }

  check(): Promise<void> {
    return this.#open ? Promise.resolve() : Promise.reject(new AudiowaveError('store.unavailable'));
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }

  async #first(matches: (c: Conversion) => boolean): Promise<Conversion | undefined> {
    await this.check();
    return structuredClone(this.#records.values().find(matches));
  }

  async #due(key: keyof SweepKeys, before: number, limit: number): Promise<readonly Conversion[]> {
    await this.check();
    const due = [...this.#records.values()]
      .map((record) => ({ record, at: sweepKeys(record)[key] ?? Infinity }))
      .filter(({ at }) => at < before)
      .sort((a, b) => a.at - b.at || (a.record.id < b.record.id ? -1 : 1));
    return structuredClone(due.slice(0, limit).map(({ record }) => record));
  }
}

function newestFirst(a: ListPlace, b: ListPlace): number {
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  if (a.id === b.id) return 0;
  return a.id < b.id ? 1 : -1;
}
