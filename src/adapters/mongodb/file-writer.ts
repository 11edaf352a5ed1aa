import { asAudiowaveError, AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { FileInfo, FileWriter } from '../../ports/file-store.ts';
import { ChunkSender } from './file-sender.ts';
import type { FileBucket } from './file-bucket.ts';
import { CHUNK_BYTES, objectIdOf, type FileDocument } from './file-documents.ts';
import type { FileMarks, Writing } from './file-marks.ts';
import { FileTail } from './file-tail.ts';

/**
 * A sweep leaves a commit that began less than 15 s ago alone (`file-sweep.ts`), so one that took less than this was not
 * swept in the middle.
 */
const SURE_COMMIT_MS = 5_000;

export interface WriterParts {
  readonly id: FileId;
  /** Its mark has been claimed. */
  readonly writing: Writing;
  readonly bucket: FileBucket;
  readonly marks: FileMarks;
  readonly signal: AbortSignal | undefined;
  /** Called once: the file is whole, or nothing of it is left. */
  readonly onEnd: (end: 'whole' | 'gone') => void;
}

/** Writes one file, chunk by chunk. Calls are worked off in the order in which they came. */
export class GridFsFileWriter implements FileWriter {
  readonly id: FileId;
  readonly writing: Writing;
  readonly #parts: WriterParts;
  readonly #sender: ChunkSender;
  readonly #waiting = new Set<() => void>();
  #tail = new FileTail(0);
  #sizeBytes = 0;
  #state: 'open' | 'committing' | 'whole' | 'broken' = 'open';
  /** Why the writer is broken; what later calls fail with. */
  #reason: Error | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #discarding: Promise<void> | undefined;
  #isDiscarded = false;
  #isCommitted = false;
  #ended = false;

  constructor(parts: WriterParts) {
    this.id = parts.id;
    this.writing = parts.writing;
    this.#parts = parts;
    this.#sender = new ChunkSender(parts, {
      isWanted: () => this.#state === 'open' || this.#state === 'committing',
      onStored: () => {
        this.#changed();
      },
      onFailure: (error) => {
        this.#break(error);
      },
    });
    parts.signal?.addEventListener('abort', this.#onSignal, { once: true });
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** True while it may be written to. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** True where it was given up; its bytes may still be there. */
  get isBroken(): boolean {
    return this.#state === 'broken';
  }

  get isWhole(): boolean {
    return this.#state === 'whole';
  }

  /** True where bytes of it should be gone and are not, because the store was away. */
  get needsDiscard(): boolean {
    return this.#isDiscarded && this.#discarding === undefined && !this.#ended;
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      for (let at = 0; at < chunk.byteLength;) {
        at += this.#tail.add(chunk.subarray(at));
        if (this.#tail.isFull) await this.#sendTail();
      }
      this.#sizeBytes += chunk.byteLength;
      this.#changed();
    });
  }

  rewriteHead(bytes: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      if (bytes.byteLength > this.#sizeBytes) {
        throw new TypeError('A head can only replace bytes that have been written.');
      }
      await this.#sender.settled();
      for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) {
        const part = bytes.subarray(at, at + CHUNK_BYTES);
        const n = at / CHUNK_BYTES;
        if (n === this.#tail.n) this.#tail.patch(part);
        else await this.#sender.patch(n, part).catch((error: unknown) => this.#fail(error));
      }
      this.#assertOpen();
    });
  }

  /** Stores the chunk that is not full yet, for followers in other processes. */
  showTail(): Promise<void> {
    return this.#inTurn(async () => {
      const tail = this.#tail;
      if (!tail.isDirty) return;
      await this.#sender.store(tail, Buffer.from(tail.bytes)).catch((error: unknown) => this.#fail(error));
    });
  }

  commit(): Promise<FileInfo> {
    return this.#inTurn(async () => {
      try {
        return await this.#makeWhole();
      } catch (error) {
        return this.#fail(error);
      }
    });
  }

  async abort(): Promise<void> {
    this.giveUp(new AudiowaveError('file.abandoned'));
    await this.discard();
  }

  /** Whoever writes on learns `reason`. What is there stays until discard(). */
  giveUp(reason: unknown): void {
    if (this.#state !== 'open') return;
    this.#break(
      reason instanceof Error ? reason : new AudiowaveError('file.abandoned', undefined, { cause: reason }),
    );
  }

  /** Removes the bytes once the call that is running has returned. May be called again where the store was away. */
  discard(): Promise<void> {
    this.#isDiscarded = true;
    this.#discarding ??= this.#last
      .then(() => this.#discard())
      .catch((error: unknown) => {
        this.#discarding = undefined;
        throw error;
      });
    return this.#discarding;
  }

  /** A copy of the bytes from `position` on that are still in memory; undefined where there are none. */
  held(position: number): Uint8Array | undefined {
    const n = Math.floor(position / CHUNK_BYTES);
    const bytes = n === this.#tail.n ? this.#tail.bytes : this.#sender.held(n);
    const offset = position - n * CHUNK_BYTES;
    return bytes === undefined || offset >= bytes.byteLength
      ? undefined
      : Uint8Array.from(bytes.subarray(offset));
  }

  /** Resolves when the file has grown or ended, or when `signal` fires. */
  async change(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true || this.#ended) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  #changed(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  readonly #onSignal = (): void => {
    this.giveUp(this.#parts.signal?.reason);
    // Whoever fired the signal learns of it by the write that fails; what can't be removed now is removed later.
    this.discard().catch(() => undefined);
  };

  /** Nothing more can be done with the file; the first reason stands. */
  #break(error: unknown): Error {
    this.#reason ??= error instanceof Error ? error : asAudiowaveError(error, 'store.unavailable');
    this.#state = 'broken';
    this.#changed();
    return this.#reason;
  }

  #fail(error: unknown): never {
    throw this.#break(error);
  }

  #assertOpen(): void {
    if (this.#reason !== undefined) throw this.#reason;
    if (this.#state === 'whole') throw new TypeError('The file is committed already.');
  }

  /** Runs `work` after the calls before it, unless the file has ended by then. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      this.#assertOpen();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when there is room for more; the chunk is on its way. */
  async #sendTail(): Promise<void> {
    const tail = this.#tail;
    // The next one is there first, so that held() finds each byte in one of the two.
    this.#sender.send(tail);
    this.#tail = new FileTail(tail.n + 1);
    await this.#sender.room();
    this.#assertOpen();
  }

  async #makeWhole(): Promise<FileInfo> {
    const { bucket, marks } = this.#parts;
    if (this.#tail.isDirty) this.#sender.send(this.#tail);
    await this.#sender.settled();
    this.#assertOpen();
    // From here on the file becomes whole, whatever abort() or the signal say, unless the store does not let it.
    this.#state = 'committing';
    const began = performance.now();
    const file: FileDocument = {
      _id: objectIdOf(this.id),
      length: this.#sizeBytes,
      chunkSize: CHUNK_BYTES,
      uploadDate: new Date(),
      metadata: { audiowaveWriter: this.writing.writer },
    };
    const isMine = await this.#sender.persist(() => marks.beginCommit(this.writing, file));
    if (!isMine) throw new AudiowaveError('file.abandoned');
    this.#isCommitted = true;
    const isVisible = await this.#sender.persist(() => bucket.insertFile(file));
    if (!isVisible) throw new AudiowaveError('file.exists');
    if (performance.now() - began > SURE_COMMIT_MS) await this.#assertNotSwept();
    this.#state = 'whole';
    this.#end('whole');
    return { id: this.id, sizeBytes: file.length, storedAt: file.uploadDate.getTime() };
  }

  /** After a pause in the middle of a commit somebody may have taken this writer for dead, and its chunks away. */
  async #assertNotSwept(): Promise<void> {
    const mark = await this.#sender.persist(() => this.#parts.marks.find(this.writing.id));
    const isSwept = mark?.leftovers?.some(({ writer }) => writer === this.writing.writer) ?? false;
    if (!isSwept) return;
    await this.#sender.persist(() => this.#parts.bucket.deleteFile(this.writing.id, this.writing.writer));
    throw new AudiowaveError('file.abandoned');
  }

  async #discard(): Promise<void> {
    await this.#sender.settled();
    if (this.#state === 'whole' || this.#ended) return;
    const { bucket, marks, writing } = this.#parts;
    if (this.#isCommitted) await bucket.deleteFile(writing.id, writing.writer);
    await bucket.deleteChunks(writing.writer, this.#sender.count);
    // A write that was not answered may still be done later: then sweep() looks once more.
    if (this.#sender.isUnsure) await marks.disown(writing);
    else await marks.release(writing);
    this.#end('gone');
  }

  #end(end: 'whole' | 'gone'): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.signal?.removeEventListener('abort', this.#onSignal);
    this.#parts.onEnd(end);
    this.#changed();
  }
}
