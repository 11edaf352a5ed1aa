import { StringDecoder } from 'node:string_decoder';

const LONGEST_LINE = 8 * 1024;

/** Cuts a stream of bytes into lines; what a line has beyond 8 Ki characters is dropped. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
    for (const line of lines) this.#onLine(line.slice(0, LONGEST_LINE).replace(/\r$/, ''));
  }

  /** The stream has ended; a last line without an end is one, too. */
  end(): void {
    if (this.#rest !== '') this.#onLine(this.#rest);
    this.#rest = '';
  }
}

const KEPT_BYTES = 64 * 1024;

/** Keeps the first and the last 64 KiB of a log of any length. */
export class BoundedLog {
  #head = '';
  #tail = '';

  add(line: string): void {
    if (this.#head.length + line.length < KEPT_BYTES) {
      this.#head += `${line}\n`;
      return;
    }
    this.#tail += `${line}\n`;
    // Cut rarely, not at each line.
    if (this.#tail.length > 2 * KEPT_BYTES) this.#tail = this.#tail.slice(-KEPT_BYTES);
  }

  /** The last `characters` of what was kept: where programs say why they stop. */
  end(characters: number): string {
    return (this.#head + this.#tail.slice(-KEPT_BYTES)).slice(-characters).trim();
  }
}
