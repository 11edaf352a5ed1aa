import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { checkPageLimit, nextVersion, sweepKeys } from '../../domain/conversion-record.ts';
import type { Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { decodeCursor, encodeCursor } from '../../domain/list-cursor.ts';
import { emailKey } from '../../domain/user.ts';
import type { Change, ConversionPage, ConversionStore } from '../../ports/conversion-store.ts';
import { MIGRATIONS, SQL } from './conversion-schema.ts';
import { openDatabase, transaction } from './database.ts';
import { answer, opening } from './store-errors.ts';

const KEPT = { video: 'videoKept', mp3: 'mp3Kept', drafts: 'draftsNamed' } as const;

const AWAITING = { conversion: 'queued', mail: 'mailDue' } as const;

/** Records of conversions in one SQLite file, which several processes may open at the same time. */
export class SqliteConversionStore implements ConversionStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<keyof typeof SQL, StatementSync>();

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Opens the file at `path`, or makes it. Throws `store.unavailable` or `store.full`. */
  static open(path: string): SqliteConversionStore {
    return opening(() => new SqliteConversionStore(openDatabase(path, MIGRATIONS)));
  }

  create(conversion: Conversion): Promise<void> {
    return this.#transaction(() => {
      const { changes } = this.#statement('insert').run(conversion.id, ...columnsOf(conversion));
      if (changes === 0) throw new AudiowaveError('conversion.exists');
      this.#insertLinks(conversion);
    });
  }

  find(id: FileId): Promise<Conversion | undefined> {
    return answer(() => this.#read('find', id));
  }

  findOwned(id: FileId, owner: string): Promise<Conversion | undefined> {
    return answer(() => this.#read('findOwned', id, emailKey(owner)));
  }

  findByMp3(mp3Fid: FileId): Promise<Conversion | undefined> {
    return answer(() => this.#read('findByMp3', mp3Fid));
  }

  findByLink(tokenHash: string): Promise<Conversion | undefined> {
    return answer(() => this.#read('findByLink', tokenHash));
  }

  list(
    owner: string,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<ConversionPage> {
    return answer(() => {
      const { limit, cursor } = options;
      checkPageLimit(limit);
      const key = emailKey(owner);
      // One record more than asked for tells whether another page follows.
      const found =
        cursor === undefined
          ? this.#readAll('firstPage', key, limit + 1)
          : this.#readAfter(key, cursor, limit + 1);
      const conversions = found.slice(0, limit);
      const last = conversions.at(-1);
      return {
        conversions,
        next: found.length > limit && last !== undefined ? encodeCursor(last) : undefined,
      };
    });
  }

  update(id: FileId, change: Change): Promise<Conversion | undefined> {
    return this.#transaction(() => {
      const current = this.#read('find', id);
      const next = current === undefined ? undefined : nextVersion(current, change);
      if (current === undefined || next === undefined) return undefined;
      this.#statement('update').run(...columnsOf(next), id);
      if (!sameLinks(current, next)) {
        this.#statement('removeLinks').run(id);
        this.#insertLinks(next);
      }
      return next;
    });
  }

  remove(id: FileId): Promise<boolean> {
    // One statement: the links go with the record (ON DELETE CASCADE).
    return answer(() => this.#statement('remove').run(id).changes === 1);
  }

  unpublished(before: number, limit: number): Promise<readonly Conversion[]> {
    return answer(() => this.#readAll('unpublished', before, limit));
  }

  leaseExpired(before: number, limit: number): Promise<readonly Conversion[]> {
    return answer(() => this.#readAll('leaseExpired', before, limit));
  }

  retentionDue(kind: keyof typeof KEPT, before: number, limit: number): Promise<readonly Conversion[]> {
    return answer(() => this.#readAll(KEPT[kind], before, limit));
  }

  awaiting(kind: keyof typeof AWAITING, before: number, limit: number): Promise<readonly Conversion[]> {
    return answer(() => this.#readAll(AWAITING[kind], before, limit));
  }

  check(): Promise<void> {
    return answer(() => void this.#statement('check').get());
  }

  /** Harmless to call twice. */
  close(): Promise<void> {
    return answer(() => {
      this.#statements.clear();
      if (this.#database.isOpen) this.#database.close();
    });
  }

  #transaction<T>(work: () => T): Promise<T> {
    return answer(() => transaction(this.#database, work));
  }

  #statement(name: keyof typeof SQL): StatementSync {
    const known = this.#statements.get(name);
    if (known !== undefined) return known;
    const prepared = this.#database.prepare(SQL[name]);
    this.#statements.set(name, prepared);
    return prepared;
  }

  #read(name: keyof typeof SQL, ...values: SQLInputValue[]): Conversion | undefined {
    const row = this.#statement(name).get(...values);
    return row === undefined ? undefined : conversionOf(row);
  }

  #readAll(name: keyof typeof SQL, ...values: SQLInputValue[]): Conversion[] {
    return this.#statement(name)
      .all(...values)
      .map(conversionOf);
  }

  #readAfter(ownerKey: string, cursor: string, limit: number): Conversion[] {
    const { createdAt, id } = decodeCursor(cursor);
    return this.#readAll('pageAfter', ownerKey, createdAt, id, limit);
  }

  #insertLinks({ id, links }: Conversion): void {
    for (const { tokenHash } of links) this.#statement('insertLink').run(tokenHash, id);
  }
}

/** The columns after `id`, in the order of the statements `insert` and `update`. */
function columnsOf(c: Conversion): SQLInputValue[] {
  const keys = sweepKeys(c);
  return [
    c.version,
    JSON.stringify(c),
    emailKey(c.owner),
    c.createdAt,
    c.mp3Fid,
    keys.leaseUntil,
    keys.unpublishedSince,
    keys.videoKeptSince,
    keys.mp3KeptSince,
    keys.draftsNamedSince,
    keys.queuedSince,
    keys.mailDueSince,
  ];
}

function conversionOf(row: Record<string, unknown>): Conversion {
  try {
    return JSON.parse(String(row.document)) as Conversion;
  } catch (cause) {
    throw new AudiowaveError('store.unavailable', undefined, { cause, detail: 'A record is not JSON.' });
  }
}

function sameLinks(a: Conversion, b: Conversion): boolean {
  if (a.links.length !== b.links.length) return false;
  return a.links.every((link, index) => link.tokenHash === b.links[index]?.tokenHash);
}
