import { writeSync } from 'node:fs';

const RETRY_MS = 2;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of `bytes`, waiting while the pipe is full. Throws where nobody reads any more. */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      // Somebody made the pipe non-blocking. This program has nothing else to do than to wait for its reader.
      Atomics.wait(pause, 0, 0, RETRY_MS);
    }
  }
}

/** Gathers small writes to a descriptor into bigger ones. */
export class GatheredOutput {
  readonly #descriptor: number;
  readonly #buffer: Buffer;
  #used = 0;

  constructor(descriptor: number, sizeBytes: number) {
    this.#descriptor = descriptor;
    this.#buffer = Buffer.allocUnsafe(sizeBytes);
  }

  write(bytes: Uint8Array): void {
    if (this.#used + bytes.length > this.#buffer.length) this.flush();
    if (bytes.length > this.#buffer.length) {
      writeAll(this.#descriptor, bytes);
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  flush(): void {
    writeAll(this.#descriptor, this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}
