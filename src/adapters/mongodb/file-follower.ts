import { setTimeout as delay } from 'node:timers/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { rangeOf } from '../../ports/file-range.ts';
import type { ReadOptions } from '../../ports/file-store.ts';
import type { FileBucket } from './file-bucket.ts';
import {
  CHUNK_BYTES,
  isChunkOf,
  objectIdOf,
  writerOf,
  type FileDocument,
  type MarkDocument,
  type WriterId,
} from './file-documents.ts';
import type { WriterKeeper } from './file-keeper.ts';
import type { FileMarks } from './file-marks.ts';
import { bridgeOutage } from './file-outage.ts';
import { checkRange, readBetween } from './file-reader.ts';
import type { GridFsFileWriter } from './file-writer.ts';

/** How soon a follower sees what another process has written. */
const POLL_MS = 100;
/** How often a follower asks a writer in another process to show its last bytes. */
const ASK_MS = 2_000;

export interface FollowerParts {
  readonly bucket: FileBucket;
  readonly marks: FileMarks;
  readonly keeper: WriterKeeper;
}

type Look =
  | { readonly state: 'growing'; readonly writer: WriterId }
  | { readonly state: 'whole'; readonly file: FileDocument };

/** Reads a file that may still be growing, until it is whole or `end` is reached. */
export async function* readFollowing(
  parts: FollowerParts,
  id: FileId,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* new Follower(parts, id, options).read();
}

class Follower {
  readonly #parts: FollowerParts;
  readonly #id: FileId;
  readonly #signal: AbortSignal | undefined;
  readonly #start: number;
  /** The last byte. */
  readonly #end: number;
  #position: number;
  /** Whose file it is; another writer's under the same id is another file. */
  #writer: WriterId | undefined;
  #askedAt = -Infinity;

  constructor(parts: FollowerParts, id: FileId, options: ReadOptions) {
    const { start, end } = rangeOf(options);
    this.#parts = parts;
    this.#id = id;
    this.#signal = options.signal;
    this.#start = start;
    this.#end = end;
    this.#position = start;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    // A TypeError where the id is none, before anything is asked for it.
    objectIdOf(this.#id);
    for (;;) {
      this.#signal?.throwIfAborted();
      const local = this.#parts.keeper.writerOf(this.#id);
      if (local !== undefined && this.#isMine(local.writing.writer)) {
        yield* this.#followHere(local);
      } else {
        const look = await this.#bridged(() => this.#look());
        if (look.state === 'whole') {
          yield* this.#readRest(look.file);
          return;
        }
        yield* this.#readStored(look.writer, Infinity);
        if (this.#isComplete) return;
        await this.#ask(look.writer);
        await delay(POLL_MS, undefined, this.#signal && { signal: this.#signal }).catch(() => undefined);
      }
      if (this.#isComplete) return;
    }
  }

  get #isComplete(): boolean {
    return this.#position > this.#end;
  }

  /** Follows a writer of this process until it ends, from its memory and what it has stored. */
  async *#followHere(writer: GridFsFileWriter): AsyncGenerator<Uint8Array, void, undefined> {
    this.#writer = writer.writing.writer;
    while (!this.#isComplete) {
      this.#signal?.throwIfAborted();
      if (writer.isBroken) throw new AudiowaveError('file.abandoned');
      if (writer.isWhole) return;
      const held = writer.held(this.#position);
      if (held !== undefined) {
        yield this.#take(held);
      } else if (this.#position < writer.sizeBytes) {
        yield* this.#readStored(this.#writer, writer.sizeBytes);
      } else {
        await writer.change(this.#signal);
      }
    }
  }

  /** Reads the chunks that are there, one after the other, until one is missing or not full yet. */
  async *#readStored(writer: WriterId, size: number): AsyncGenerator<Uint8Array, void, undefined> {
    this.#writer = writer;
    while (!this.#isComplete && this.#position < size) {
      this.#signal?.throwIfAborted();
      const n = Math.floor(this.#position / CHUNK_BYTES);
      const chunk = await this.#bridged(() => this.#parts.bucket.findChunk(objectIdOf(this.#id), n));
      if (chunk === null || !isChunkOf(writer, chunk._id)) return;
      const fresh = chunk.data.value().subarray(this.#position - n * CHUNK_BYTES);
      if (fresh.byteLength === 0) return;
      yield this.#take(fresh);
      if (this.#parts.keeper.writerOf(this.#id)?.held(this.#position) !== undefined) return;
    }
  }

  async *#readRest(file: FileDocument): AsyncGenerator<Uint8Array, void, undefined> {
    checkRange(this.#start, file.length);
    const to = Math.min(this.#end + 1, file.length);
    yield* readBetween(this.#parts.bucket, file, this.#position, to, this.#signal);
  }

  /** As much of `bytes`, which begin at the position, as is asked for. */
  #take(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, Math.min(bytes.byteLength, this.#end + 1 - this.#position));
    this.#position += taken.byteLength;
    return taken;
  }

  /** What has become of the file. Said before its bytes are read, so that a whole one comes with all of them. */
  async #look(): Promise<Look> {
    const { bucket, marks } = this.#parts;
    const id = objectIdOf(this.#id);
    const whole = (file: FileDocument | undefined): Look | undefined =>
      file !== undefined && this.#isMine(writerOf(file)) ? { state: 'whole', file } : undefined;
    const found = whole(await bucket.findFile(id));
    if (found !== undefined) return found;
    const mark = await marks.find(id);
    if (mark?.writer !== undefined && this.#isMine(mark.writer))
      return { state: 'growing', writer: mark.writer };
    // It may have become whole between the two looks, and even have been removed since.
    const late = whole(await bucket.findFile(id)) ?? whole(this.#removed(mark));
    if (late !== undefined) return late;
    throw new AudiowaveError(this.#writer === undefined ? 'file.unknown' : 'file.abandoned');
  }

  #isMine(writer: WriterId | null): boolean {
    return this.#writer === undefined || this.#writer === writer;
  }

  /** The file that it was. Only those who had begun to follow may still read it. */
  #removed(mark: MarkDocument | null): FileDocument | undefined {
    if (this.#writer === undefined) return undefined;
    return mark?.leftovers?.find(({ writer }) => writer === this.#writer)?.file;
  }

  async #ask(writer: WriterId): Promise<void> {
    const now = performance.now();
    if (now - this.#askedAt < ASK_MS) return;
    this.#askedAt = now;
    const writing = { id: objectIdOf(this.#id), writer };
    await this.#bridged(() => this.#parts.marks.askToFollow(writing));
  }

  /** Once it has begun, a follower waits for a store that is away for a moment, as its writer does. */
  #bridged<T>(work: () => Promise<T>): Promise<T> {
    return bridgeOutage(work, () => this.#writer !== undefined && this.#signal?.aborted !== true);
  }
}
