import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from '../../tests/support/decode.ts';

/** Downloads MP3s as their owners do, and decodes them. What has the same bytes is decoded once. */
export class Mp3s {
  readonly #gateway: string;
  readonly #folder: string;
  readonly #decoded = new Map<string, Promise<{ durationMs: number; warnings: readonly string[] }>>();

  constructor(gateway: string, folder: string) {
    this.#gateway = gateway;
    this.#folder = folder;
  }

  /** What is wrong with the MP3; undefined where it decodes without a complaint and is as long as it has to be. */
  async complaint(fid: string, token: string, durationMs: number | undefined): Promise<string | undefined> {
    const answer = await fetch(`${this.#gateway}/download?fid=${fid}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(60_000),
    });
    if (answer.status !== 200) return `its download answers ${String(answer.status)}`;
    const decoded = await this.#decode(Buffer.from(await answer.arrayBuffer()));
    if (decoded.warnings.length > 0) return decoded.warnings.join('; ');
    if (durationMs !== undefined && Math.abs(decoded.durationMs - durationMs) > 100) {
      return `it lasts ${decoded.durationMs.toFixed(0)} ms instead of ${durationMs.toFixed(0)}`;
    }
    return undefined;
  }

  #decode(bytes: Buffer): Promise<{ durationMs: number; warnings: readonly string[] }> {
    const name = createHash('sha256').update(bytes).digest('hex');
    const known = this.#decoded.get(name);
    if (known !== undefined) return known;
    const path = join(this.#folder, `${name}.mp3`);
    const decoding = writeFile(path, bytes)
      .then(() => decode(path))
      .then(({ durationMs, warnings }) => ({ durationMs, warnings }));
    this.#decoded.set(name, decoding);
    return decoding;
  }
}
