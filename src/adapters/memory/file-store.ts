import { AudiowaveError } from '../../domain/errors.ts';
import { assertFileId, type FileId } from '../../domain/ids.ts';
import { rangeOf } from '../../ports/file-range.ts';
import type { FileInfo, FileStore, FileWriter, ReadOptions } from '../../ports/file-store.ts';
import { MemoryFile, MemoryFileWriter, promised } from './file.ts';

/** Keeps files in memory, for tests: as exact as the others, and gone with the process. */
export class MemoryFileStore implements FileStore {
  readonly #files = new Map<FileId, MemoryFile>();

  create(id: FileId, options: { readonly signal?: AbortSignal } = {}): Promise<FileWriter> {
    return promised(() => {
      assertFileId(id);
      options.signal?.throwIfAborted();
      if (this.#files.has(id)) throw new AudiowaveError('file.exists');
      const file = new MemoryFile(id);
      this.#files.set(id, file);
      return new MemoryFileWriter(file, options.signal, () => this.#files.delete(id));
    });
  }

  stat(id: FileId): Promise<FileInfo | undefined> {
    return promised(() => this.#whole(id)?.info);
  }

  async *read(id: FileId, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const { follow = false, signal } = options;
    const { start, end } = rangeOf(options);
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

  remove(id: FileId): Promise<boolean> {
    return promised(() => this.#whole(id) !== undefined && this.#files.delete(id));
  }

  abandon(id: FileId): Promise<void> {
    return promised(() => {
      const file = this.#any(id);
      if (file?.state !== 'growing') return;
      this.#files.delete(id);
      file.state = 'abandoned';
      file.changed();
    });
  }

  async *list(): AsyncGenerator<FileInfo, void, undefined> {
    await this.check();
    for (const file of [...this.#files.values()]) {
      if (file.state === 'whole') yield file.info;
    }
  }

  /** Always 0: a writer dies only together with the bytes. */
  sweep(): Promise<number> {
    return Promise.resolve(0);
  }

  freeBytes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    for (const file of this.#files.values()) {
      if (file.state === 'growing') file.state = 'abandoned';
      file.changed();
    }
    this.#files.clear();
    return Promise.resolve();
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
