import type { FileId } from '../domain/ids.ts';

/** What a store knows of a whole file. */
export interface FileInfo {
  readonly id: FileId;
  readonly sizeBytes: number;
  /** When the file became whole, in milliseconds since the epoch. */
  readonly storedAt: number;
}

export interface ReadOptions {
  /** First byte, 0 by default; `file.range-not-satisfiable` where it lies behind the end of a whole file. */
  readonly start?: number;
  /** Last byte, inclusive (as in RFC 9110, 14.1.2); the end by default or where it lies behind the end. */
  readonly end?: number;
  /** Also read a file that is still being written: what there is, then what comes, until it is whole. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

/** The one writer of a file that is not whole yet. Exactly one of commit() and abort() ends it. */
export interface FileWriter {
  readonly id: FileId;
  /** Bytes taken so far. */
  readonly sizeBytes: number;
  /** Takes the next bytes; resolves when the store can take more (back-pressure). `store.full`, `store.unavailable`. */
  write(chunk: Uint8Array): Promise<void>;
  /** Replaces the first bytes, which must have been written already: an MP3's header frame is known last. */
  rewriteHead(bytes: Uint8Array): Promise<void>;
  /** The file is whole: durable and visible when this resolves. */
  commit(): Promise<FileInfo>;
  /** Gives the file up; no byte of it stays. Harmless after commit() or another abort(). */
  abort(): Promise<void>;
}

/**
 * Keeps files. Promises, each with a test in `tests/contracts/file-store.contract.ts`:
 * - a file is visible (stat, read, list) only when it is whole, and then it is durable;
 * - what read() gives is byte for byte what write() took, with the head as it was rewritten last;
 * - a writer that is aborted, or whose process dies, leaves nothing visible; sweep() removes its bytes;
 * - a reader that has begun ends well, with all its bytes, though the file is removed meanwhile;
 * - a follower gets every byte once, in order, ends when the file is committed, and fails with `file.abandoned` when it is not;
 *   a head rewritten after the follower passed it is not sent again;
 * - after abandon() the id can be written anew at once, and a writer from before can neither make its own bytes visible nor
 *   those of the next writer, whatever process it is in: its commit() fails with `file.abandoned`, its write() at once or
 *   within about a second; its abort() leaves the next writer's bytes alone;
 * - ids are minted by the caller; a second create() of an id that is there or being written fails with `file.exists`.
 */
export interface FileStore {
  /** Begins a file. */
  create(id: FileId, options?: { readonly signal?: AbortSignal }): Promise<FileWriter>;
  /** The whole file's facts, or undefined where there is none. */
  stat(id: FileId): Promise<FileInfo | undefined>;
  /** A file's bytes, in chunks of the store's choosing. Fails at the first step with `file.unknown` where there is none. */
  read(id: FileId, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /** Removes a file; true where there was one. */
  remove(id: FileId): Promise<boolean>;
  /**
   * Gives up what anybody has half-written under this id; harmless where nobody has. A file that is just being committed
   * is waited for, 15 s at most; it may be whole afterwards, as one that was committed before is. Whoever calls this knows
   * by other means (a lease) that the writer is not to go on.
   */
  abandon(id: FileId): Promise<void>;
  /** All whole files, in no order. */
  list(): AsyncIterable<FileInfo>;
  /** Removes half-written files that nobody has touched since `olderThan` (ms since the epoch); says how many. */
  sweep(olderThan: number): Promise<number>;
  /** Bytes that can still be stored; undefined where the store can't tell. */
  freeBytes(): Promise<number | undefined>;
  /**
   * Only in stores whose files are files of this machine: the path of a whole file, for handing a descriptor to an
   * encoder program. Undefined where there is no such file.
   */
  localPath?(id: FileId): Promise<string | undefined>;
  /** Resolves where the store answers; `store.unavailable` otherwise. */
  check(): Promise<void>;
  close(): Promise<void>;
}
