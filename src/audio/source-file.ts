import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AudiowaveError } from '../domain/errors.ts';
import type { AudioSource } from '../ports/audio-engine.ts';

/** A finite run of bytes that can be read anywhere. */
export interface ByteReader {
  readonly sizeBytes: number;
  /** The bytes from `position` on: `length` of them, fewer only at the end. */
  readAt(position: number, length: number): Promise<Buffer>;
}

/** A source as a regular file that is open for reading, so that an encoder program can be handed a descriptor. */
export class SourceFile implements ByteReader {
  readonly sizeBytes: number;
  readonly #handles: readonly FileHandle[];

  private constructor(handles: readonly FileHandle[], sizeBytes: number) {
    this.#handles = handles;
    this.sizeBytes = sizeBytes;
  }

  /**
   * Opens the source's own file, or copies its bytes into a file of `scratchFolder` that has no name any more. Throws
   * what the source throws, and `file.unknown` where its path leads nowhere.
   */
  static async open(source: AudioSource, scratchFolder: string, signal: AbortSignal): Promise<SourceFile> {
    const handles =
      source.localPath === undefined
        ? await spool(source, scratchFolder, signal)
        : await openForReading(source.localPath);
    try {
      const [first] = handles;
      const { size } = (await first?.stat()) ?? { size: 0 };
      return new SourceFile(handles, size);
    } catch (error) {
      await closeAll(handles);
      throw error;
    }
  }

  /**
   * The descriptor for the `start`-th start of an encoder program, 0 or 1. Where opening a descriptor's path shares its
   * position (macOS), a second start must not continue where the first one stopped.
   */
  descriptor(start: 0 | 1): number {
    const handle = this.#handles[start];
    if (handle === undefined) throw new AudiowaveError('internal.error');
    return handle.fd;
  }

  async readAt(position: number, length: number): Promise<Buffer> {
    const [handle] = this.#handles;
    const buffer = Buffer.alloc(Math.max(0, Math.min(length, this.sizeBytes - position)));
    let filled = 0;
    while (handle !== undefined && filled < buffer.length) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  }

  async close(): Promise<void> {
    await closeAll(this.#handles);
  }
}

async function openForReading(path: string): Promise<FileHandle[]> {
  const handles: FileHandle[] = [];
  try {
    for (let i = 0; i < 2; i++) handles.push(await open(path, 'r'));
    if (!(await handles[0]?.stat())?.isFile()) throw new AudiowaveError('audio.not-media');
    return handles;
  } catch (error) {
    await closeAll(handles);
    if (error instanceof AudiowaveError) throw error;
    throw new AudiowaveError('file.unknown', undefined, { cause: error, detail: String(error) });
  }
}

async function spool(source: AudioSource, folder: string, signal: AbortSignal): Promise<FileHandle[]> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `source-${randomUUID()}`);
  const writer = await open(path, 'wx', 0o600);
  try {
    const handles = await openForReading(path);
    try {
      // Without a name no crash can leave it behind.
      await unlink(path);
      for await (const chunk of source.read({ start: 0, signal })) {
        signal.throwIfAborted();
        await writer.writeFile(chunk);
      }
      return handles;
    } catch (error) {
      await closeAll(handles);
      throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? new AudiowaveError('store.full') : error;
    }
  } finally {
    await writer.close();
    await unlink(path).catch(() => undefined);
  }
}

async function closeAll(handles: readonly FileHandle[]): Promise<void> {
  await Promise.all(handles.map((handle) => handle.close()));
}
