import type { Conversion } from '../domain/conversion.ts';
import type { FileId } from '../domain/ids.ts';

/** A page of conversions, newest first. */
export interface ConversionPage {
  readonly conversions: readonly Conversion[];
  /** Where the next page begins; undefined on the last one. Opaque to callers. */
  readonly next: string | undefined;
}

/** Returns the changed record, or undefined to leave it as it is. Pure: it may be called more than once. */
export type Change = (current: Conversion) => Conversion | undefined;

/**
 * Keeps the records of conversions. Promises, each with a test in `tests/contracts/conversion-store.contract.ts`:
 * - create() of an id that is there fails with `conversion.exists`;
 * - update() is atomic: of two updates at the same time each sees the other's result or comes first; the version
 *   rises by one with each; a change of state that LEGAL_MOVES does not name fails with `conversion.illegal-move`;
 * - an update is durable when it resolves;
 * - findOwned() and list() never show another owner's record; owners are compared without letter case; an update may
 *   change the owner;
 * - list() pages through all records once, newest first, though records are added meanwhile;
 * - the sweeper's queries find what a crash left.
 */
export interface ConversionStore {
  create(conversion: Conversion): Promise<void>;
  find(id: FileId): Promise<Conversion | undefined>;
  findOwned(id: FileId, owner: string): Promise<Conversion | undefined>;
  /** By the MP3's FileId. */
  findByMp3(mp3Fid: FileId): Promise<Conversion | undefined>;
  /** By the hash of a one-click link's token, expired or not. */
  findByLink(tokenHash: string): Promise<Conversion | undefined>;
  /** `limit` 1 to 100. `request.malformed` for a cursor that this store did not make. */
  list(owner: string, options: { readonly limit: number; readonly cursor?: string }): Promise<ConversionPage>;
  /** Applies `change` to the record; the stored result, or undefined where there is no record or nothing was changed. */
  update(id: FileId, change: Change): Promise<Conversion | undefined>;
  /** True where there was one. */
  remove(id: FileId): Promise<boolean>;

  /** Records with an announcement unpublished since before `before`, oldest first. */
  unpublished(before: number, limit: number): Promise<readonly Conversion[]>;
  /** Records whose lease ran out before `before`, oldest first. */
  leaseExpired(before: number, limit: number): Promise<readonly Conversion[]>;
  /**
   * Ended records whose video (`kind: 'video'`) or MP3 is still there, or that still name drafts or are forgotten
   * (`'drafts'`), and that ended before `before`, oldest first: see sweepKeys().
   */
  retentionDue(
    kind: 'video' | 'mp3' | 'drafts',
    before: number,
    limit: number,
  ): Promise<readonly Conversion[]>;
  /**
   * Records that wait for their message to be taken, by a converter (`'conversion'`) or a notification process (`'mail'`),
   * and were not written since `before`, oldest first: see sweepKeys().
   */
  awaiting(kind: 'conversion' | 'mail', before: number, limit: number): Promise<readonly Conversion[]>;

  /** Resolves where the store answers; `store.unavailable` otherwise. */
  check(): Promise<void>;
  close(): Promise<void>;
}
