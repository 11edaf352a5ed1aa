import { AudiowaveError, hasCode } from '../../domain/errors.ts';
import type { FileBucket } from './file-bucket.ts';
import { isChunkOf, MOST_CHUNKS } from './file-documents.ts';
import type { FileMarks, Writing } from './file-marks.ts';
import { bridgeOutage } from './file-outage.ts';
import type { FileTail } from './file-tail.ts';

/** Chunks of one file on their way at the same time: enough to keep the line busy, and some 2 MiB of memory. */
const IN_FLIGHT = 4;

/** How often another writer's chunk in the place of ours is removed before we give up. */
const EVICTIONS = 3;

export interface SenderParts {
  readonly writing: Writing;
  readonly bucket: FileBucket;
  readonly marks: FileMarks;
}

export interface SenderEvents {
  /** False once nobody needs the bytes any more: then an outage is not waited for. */
  readonly isWanted: () => boolean;
  readonly onStored: () => void;
  readonly onFailure: (error: unknown) => void;
}

/** Brings the chunks of one writer to the store, several at a time; bridges short absences of the store. */
export class ChunkSender {
  readonly #parts: SenderParts;
  readonly #events: SenderEvents;
  readonly #inFlight = new Map<number, { readonly bytes: Uint8Array; readonly sent: Promise<void> }>();
  /** Chunks that were sent: their numbers are 0 to one less. */
  count = 0;
  /** True where a write was not answered, and may yet be done. */
  isUnsure = false;

  constructor(parts: SenderParts, events: SenderEvents) {
    this.#parts = parts;
    this.#events = events;
  }

  /** Sends a chunk that does not change any more. */
  send(tail: FileTail): void {
    const { n, bytes } = tail;
    const sent = this.store(tail, bytes).then(this.#events.onStored, this.#events.onFailure);
    this.#inFlight.set(n, { bytes, sent: sent.finally(() => this.#inFlight.delete(n)) });
  }

  /** Stores what a chunk holds now. */
  async store(tail: FileTail, bytes: Uint8Array): Promise<void> {
    const { n, isStored } = tail;
    if (n >= MOST_CHUNKS) throw new AudiowaveError('store.full', 'A file can have 4 TiB at most.');
    this.count = Math.max(this.count, n + 1);
    tail.isStored = true;
    tail.isDirty = false;
    if (isStored) await this.#replace(n, bytes);
    else await this.#insert(n, bytes);
  }

  /** Replaces the first bytes of a chunk that is in the store. */
  async patch(n: number, bytes: Uint8Array): Promise<void> {
    const { bucket, writing } = this.#parts;
    const chunk = await this.persist(() => bucket.findChunk(writing.id, n));
    if (chunk === null || !isChunkOf(writing.writer, chunk._id)) throw new AudiowaveError('file.abandoned');
    const patched = Buffer.from(chunk.data.value());
    patched.set(bytes);
    await this.#replace(n, patched);
  }

  /** Resolves when another chunk may be sent. */
  async room(): Promise<void> {
    while (this.#inFlight.size >= IN_FLIGHT) await Promise.race(this.#sent());
  }

  /** Resolves when nothing is on its way. */
  async settled(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#sent());
  }

  /** The bytes of a chunk that is on its way. */
  held(n: number): Uint8Array | undefined {
    return this.#inFlight.get(n)?.bytes;
  }

  /** The result of `work`, which must be harmless to repeat, also where the store is away for a moment. */
  async persist<T>(work: () => Promise<T>): Promise<T> {
    const noting = async (): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        this.isUnsure ||= hasCode(error, 'store.unavailable');
        throw error;
      }
    };
    return bridgeOutage(noting, this.#events.isWanted);
  }

  #sent(): Promise<void>[] {
    return [...this.#inFlight.values()].map(({ sent }) => sent);
  }

  async #replace(n: number, bytes: Uint8Array): Promise<void> {
    const { bucket, writing } = this.#parts;
    const isThere = await this.persist(() => bucket.replaceChunk(writing.writer, n, bytes));
    if (!isThere) throw new AudiowaveError('file.abandoned');
  }

  async #insert(n: number, bytes: Uint8Array): Promise<void> {
    const { bucket, writing } = this.#parts;
    for (let tries = 0; ; tries += 1) {
      const other = await this.persist(() => bucket.insertChunk(writing.id, writing.writer, n, bytes));
      if (other === undefined) return;
      if (tries === EVICTIONS) throw new AudiowaveError('file.exists');
      await this.persist(() => this.#assertMine());
      // It stood there when the file was still ours, so whoever wrote it has lost the file to us.
      await this.persist(() => bucket.deleteChunk(other));
    }
  }

  async #assertMine(): Promise<void> {
    const { bucket, marks, writing } = this.#parts;
    const mark = await marks.find(writing.id);
    if (mark?.writer !== writing.writer) throw new AudiowaveError('file.abandoned');
    if ((await bucket.findFile(writing.id)) !== undefined) throw new AudiowaveError('file.exists');
  }
}
