import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { FileInfo, FileWriter } from '../../ports/file-store.ts';

/** Does `work` at once; what it throws rejects the promise. */
export function promised<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}

/** One file, whole or not. Readers hold on to it though the store has forgotten it. */
export class MemoryFile {
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

export class MemoryFileWriter implements FileWriter {
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

  write(chunk: Uint8Array): Promise<void> {
    return promised(() => {
      this.#assertOpen();
      // The caller may fill its buffer anew.
      if (chunk.byteLength > 0) this.#file.chunks.push(Uint8Array.from(chunk));
      this.#file.sizeBytes += chunk.byteLength;
      this.#file.changed();
    });
  }

  rewriteHead(bytes: Uint8Array): Promise<void> {
    return promised(() => {
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
    });
  }

  commit(): Promise<FileInfo> {
    return promised(() => {
      this.#assertOpen();
      this.#file.storedAt = Date.now();
      this.#end('whole');
      return this.#file.info;
    });
  }

  abort(): Promise<void> {
    return promised(() => {
      this.#giveUp(new AudiowaveError('file.abandoned'));
    });
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
