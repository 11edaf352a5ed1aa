import { CHUNK_BYTES } from './file-documents.ts';

const FIRST_BYTES = 32 * 1024;

/** The chunk that a writer is filling. */
export class FileTail {
  /** Its number in the file. */
  readonly n: number;
  /** True once the store holds a chunk of this number, however full. */
  isStored = false;
  /** True where it holds bytes that the store does not. */
  isDirty = false;
  #buffer: Buffer;
  #length = 0;

  constructor(n: number) {
    this.n = n;
    // Many files are small; one that is not will fill the next chunk too.
    this.#buffer = Buffer.allocUnsafeSlow(n === 0 ? FIRST_BYTES : CHUNK_BYTES);
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === CHUNK_BYTES;
  }

  /** The bytes taken so far, not a copy: valid until the next add() or patch(). */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Takes as many bytes as there is room for; says how many. */
  add(bytes: Uint8Array): number {
    const taken = Math.min(bytes.byteLength, CHUNK_BYTES - this.#length);
    this.#makeRoom(this.#length + taken);
    this.#buffer.set(bytes.subarray(0, taken), this.#length);
    this.#length += taken;
    this.isDirty ||= taken > 0;
    return taken;
  }

  /** Replaces the first bytes. */
  patch(bytes: Uint8Array): void {
    this.#buffer.set(bytes, 0);
    this.isDirty = true;
  }

  #makeRoom(needed: number): void {
    if (needed <= this.#buffer.byteLength) return;
    const larger = Buffer.allocUnsafeSlow(
      Math.min(CHUNK_BYTES, Math.max(needed, 2 * this.#buffer.byteLength)),
    );
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}
