import { createReadStream } from 'node:fs';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { AudiowaveError } from '../domain/errors.ts';
import type { AudioSink, AudioSource } from '../ports/audio-engine.ts';

/** A video on this disk, as the engine reads it. */
export async function fileSource(path: string): Promise<AudioSource> {
  const facts = await stat(path).catch((error: unknown) => {
    throw new AudiowaveError('file.unknown', `${path} can't be read; is the name right?`, { cause: error });
  });
  if (facts.isDirectory())
    throw new AudiowaveError('request.malformed', `${path} is a folder; name the videos in it.`);
  // Opening a pipe waits for a writer, and no signal ends that wait.
  if (!facts.isFile())
    throw new AudiowaveError(
      'request.malformed',
      `${path} is a pipe or a device; send it into standard input: audiowave convert - < ${path}`,
    );
  return {
    sizeBytes: facts.size,
    localPath: path,
    read: (range) =>
      createReadStream(path, {
        ...(range === undefined ? {} : { start: range.start }),
        ...(range?.end === undefined ? {} : { end: range.end }),
        ...(range?.signal === undefined ? {} : { signal: range.signal }),
      }),
  };
}

/** An MP3 that appears under its name only when it is whole. */
export interface Mp3File extends AudioSink {
  rewriteHead(bytes: Uint8Array): Promise<void>;
  commit(): Promise<void>;
  copyTo(output: Writable): Promise<void>;
  /** Removes what is not committed. */
  discard(): Promise<void>;
}

/** Begins to write `path`; refuses to replace a file unless `overwrite`. */
export async function createMp3File(path: string, overwrite: boolean): Promise<Mp3File> {
  const taken = (): AudiowaveError =>
    new AudiowaveError('file.exists', `${path} exists already; use --overwrite, or another name with -o.`);
  if (!overwrite && (await stat(path).catch(() => undefined)) !== undefined) throw taken();
  const draft = join(dirname(path), `.${basename(path)}.${String(process.pid)}.part`);
  const handle = await open(draft, 'wx+').catch((error: unknown) => {
    throw new AudiowaveError(
      'store.unavailable',
      `${dirname(path)} can't be written to; choose another place with -o.`,
      { cause: error },
    );
  });
  let position = 0;
  const writeAt = async (bytes: Uint8Array, at: number): Promise<void> => {
    for (let done = 0; done < bytes.length;) {
      done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
    }
  };
  return {
    write: async (chunk) => {
      await writeAt(chunk, position);
      position += chunk.length;
    },
    rewriteHead: (bytes) => writeAt(bytes, 0),
    commit: async () => {
      await handle.sync();
      await handle.close();
      if (overwrite) return rename(draft, path);
      // link() refuses to replace what came into being meanwhile; rename() would not.
      await link(draft, path).catch((error: unknown) => {
        throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? taken() : error;
      });
    },
    copyTo: async (output) => {
      await pipeline(createReadStream(draft), output, { end: false }).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
        throw new AudiowaveError(
          'store.unavailable',
          'The reader of standard output went away before it had the whole MP3.',
          { cause: error },
        );
      });
    },
    discard: async () => {
      await handle.close().catch(() => undefined);
      await rm(draft, { force: true });
    },
  };
}
