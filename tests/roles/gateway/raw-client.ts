import { execFile } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';

/** A client on a bare socket, which can stop and break off where HTTP libraries can't. */
export class RawClient {
  readonly socket: Socket;
  readonly #closed: Promise<void>;
  #received = '';

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
    });
    this.socket.on('error', () => undefined);
    this.#closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  /** Everything that came, as latin-1. */
  get received(): string {
    return this.#received;
  }

  /** Resolves with everything that came when the connection is closed. */
  async closed(): Promise<string> {
    await this.#closed;
    return this.#received;
  }

  /** Resolves when the bytes are handed to the system. */
  send(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => {
        if (error == null) resolve();
        else reject(error);
      });
    });
  }

  hangUp(): void {
    this.socket.destroy();
  }
}

export const BOUNDARY = 'the-boundary';

/** The head of a POST; `length` undefined sends it chunked. */
export function requestHead(
  path: string,
  length: number | undefined,
  headers: Readonly<Record<string, string>> = {},
): string {
  const fields = {
    host: 'localhost',
    'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
    ...(length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(length) }),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** The beginning of a file part with this Content-Disposition after `form-data; `. */
export function partHead(disposition = 'name="file"; filename="talk.mp4"'): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\nContent-Type: video/mp4\r\n\r\n`;
}

export const BODY_END = `\r\n--${BOUNDARY}--\r\n`;

/** A whole multipart body with one file. */
export function wholeBody(content: string | Uint8Array, disposition?: string): Buffer {
  return Buffer.concat([Buffer.from(partHead(disposition)), Buffer.from(content), Buffer.from(BODY_END)]);
}

/** Runs the real curl; what it printed. Fails where curl does. */
export async function curl(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return promisify(execFile)('curl', ['--silent', '--show-error', '--max-time', '30', ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
}
