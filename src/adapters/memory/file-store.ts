import { AudiowaveError } from '../../domain/errors.ts';
import { assertFileId, type FileId } from '../../domain/ids.ts';
import type { FileInfo, FileStore, FileWriter, ReadOptions } from '../../ports/file-store.ts';

/** One file, whole or not. Readers hold on to it though the store has forgotten it. */
class MemoryFile {
  readonly id: FileId;
  readonly chunks: Uint8Array[] = [];
  state: 'growing' | 'whole' | 'abandoned' = 'growing';
  sizeBytes = 0;
  storedAt = 0;
  #waiting = new Set<() => void>();

  constructor(id: FileId) {
    this.id = id;
  }

  get info(): FileInfo {
    return { id: this.id, sizeBytes: this.sizeBytes, storedAt: this.storedAt };
  }

  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  async nextChange(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
    signal?.throwIfAborted();
  }
}

class MemoryFileWriter implements FileWriter {
  readonly id: FileId;
  readonly #file: MemoryFile;
  readonly #signal: AbortSignal | undefined;
  readonly #forget: () => void;
  #reason: unknown;

  constructor(file: MemoryFile, signal: AbortSignal | undefined, forget: () => void) {
    this.id = file.id;
    this.#file = file;
    this.#signal = signal;
    this.#forget = forget;
    signal?.addEventListener('abort', this.#onSignal, { once: true });
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    // The caller may fill its buffer anew.
    if (chunk.byteLength > 0) this.#file.chunks.push(Uint8Array.from(chunk));
    this.#file.sizeBytes += chunk.byteLength;
    this.#file.changed();
  }

  async rewriteHead(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    if (bytes.byteLength > this.sizeBytes) {
      throw new TypeError('A head can only replace bytes that have been written.');
    }
    let done = 0;
    for (const chunk of this.#file.chunks) {
      chunk.set(bytes.subarray(done, done + chunk.byteLength));
      done += chunk.byteLength;
      if (done >= bytes.byteLength) return;
    }
  }

  async commit(): Promise<FileInfo> {
    this.#assertOpen();
    this.#file.storedAt = Date.now();
    this.#end('whole');
    return this.#file.info;
  }

  async abort(): Promise<void> {
    this.#giveUp(new AudiowaveError('file.abandoned'));
  }

  readonly #onSignal = (): void => {
    this.#giveUp(this.#signal?.reason);
  };

  #giveUp(reason: unknown): void {
    if (this.#file.state !== 'growing') return;
    this.#reason = reason;
    this.#forget();
    this.#end('abandoned');
  }

  #end(state: 'whole' | 'abandoned'): void {
    this.#signal?.removeEventListener('abort', this.#onSignal);
    this.#file.state = state;
    this.#file.changed();
  }

  #assertOpen(): void {
    if (this.#file.state === 'whole') throw new TypeError('The file is committed already.');
    if (this.#file.state === 'abandoned') {
      throw this.#reason instanceof Error ? this.#reason : new AudiowaveError('file.abandoned');
    }
  }
}

/** Keeps files in memory, for tests: as exact as the others, and gone with the process. */
export class MemoryFileStore implements FileStore {
  readonly #files = new Map<FileId, MemoryFile>();

  async create(id: FileId, options: { readonly signal?: AbortSignal } = {}): Promise<FileWriter> {
    assertFileId(id);
    options.signal?.throwIfAborted();
    if (this.#files.has(id)) throw new AudiowaveError('file.exists');
    const file = new MemoryFile(id);
    this.#files.set(id, file);
    return new MemoryFileWriter(file, options.signal, () => this.#files.delete(id));
  }

  async stat(id: FileId): Promise<FileInfo | undefined> {
    return this.#whole(id)?.info;
  }

  async *read(id: FileId, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { start = 0, end = Number.MAX_SAFE_INTEGER, follow = false, signal } = options;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
      throw new TypeError('A range has a start of 0 or more and an end that is not before it.');
    }
    signal?.throwIfAborted();
    const file = follow ? this.#any(id) : this.#whole(id);
    if (file === undefined) throw new AudiowaveError('file.unknown');
    let offset = 0;
    for (let index = 0; offset <= end; index += 1) {
      const chunk = await nextChunk(file, index, start, signal);
      if (chunk === undefined) return;
      const from = Math.max(start - offset, 0);
      const to = Math.min(end + 1 - offset, chunk.byteLength);
      offset += chunk.byteLength;
      signal?.throwIfAborted();
      // A copy, so that neither side sees the other write.
      if (from < to) yield chunk.slice(from, to);
    }
  }

  async remove(id: FileId): Promise<boolean> {
    return this.#whole(id) !== undefined && this.#files.delete(id);
  }

  async *list(): AsyncGenerator<FileInfo, void, undefined> {
    for (const file of [...this.#files.values()]) {
      if (file.state === 'whole') yield file.info;
    }
  }

  /** Always 0: a writer dies only together with the bytes. */
  async sweep(): Promise<number> {
    return 0;
  }

  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  async check(): Promise<void> {
    // Memory answers.
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) {
      if (file.state === 'growing') file.state = 'abandoned';
      file.changed();
    }
    this.#files.clear();
  }

  #any(id: FileId): MemoryFile | undefined {
    assertFileId(id);
    return this.#files.get(id);
  }

  #whole(id: FileId): MemoryFile | undefined {
    const file = this.#any(id);
    return file?.state === 'whole' ? file : undefined;
  }
}

/** The chunk at `index`, waited for where the file is growing; undefined at the end of a whole file. */
async function nextChunk(
  file: MemoryFile,
  index: number,
  start: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  for (;;) {
    if (file.state === 'abandoned') throw new AudiowaveError('file.abandoned');
    if (file.state === 'whole' && start > 0 && start >= file.sizeBytes) {
      throw new AudiowaveError('file.range-not-satisfiable');
    }
    const chunk = file.chunks[index];
    if (chunk !== undefined || file.state === 'whole') return chunk;
    await file.nextChange(signal);
  }
}
