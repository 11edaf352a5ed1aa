import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import type { IncomingMessage } from 'node:http';
import { AudiowaveError } from '../../../domain/errors.ts';
import { askForBody } from '../unread-body.ts';
import { cleanFileName } from './file-name.ts';

/** The one file part of a multipart body, while it comes. */
export interface UploadedFile {
  readonly name: string | null;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface MultipartLimits {
  readonly maxFileBytes: number;
  /** How long the client may send nothing. */
  readonly idleMs: number;
}

const MAX_FIELDS = 64;
const MAX_FIELD_BYTES = 64 * 1024;

/** What a body may hold besides its file: fields, part headers, boundaries. */
export const MAX_OVERHEAD_BYTES = 8 * 1024 * 1024;

/** True for a `multipart/form-data` Content-Type that names its boundary. */
export function isMultipart(contentType: string | undefined): boolean {
  return /^multipart\/form-data\s*;.*\bboundary\s*=\s*\S/i.test(contentType ?? '');
}

function openParser(contentType: string, limits: MultipartLimits): BusboyInstance {
  if (!isMultipart(contentType)) throw new AudiowaveError('upload.not-one-file');
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      preservePath: true,
      isPartAFile: (_field, _type, fileName) => fileName !== undefined,
      limits: {
        fileSize: limits.maxFileBytes,
        files: 1,
        fields: MAX_FIELDS,
        fieldSize: MAX_FIELD_BYTES,
        headerPairs: 64,
        headerSize: 16 * 1024,
      },
    });
  } catch (cause) {
    // Such as a boundary longer than a parser takes.
    throw new AudiowaveError('upload.malformed', undefined, { cause });
  }
}

/**
 * Reads a multipart body with exactly one file part and hands that to `take`, with back-pressure. Resolves when the
 * body was whole and `take` is done. Rejects with `upload.not-one-file` as soon as a second file begins,
 * `upload.too-large` at the first byte too many, `upload.malformed`, `upload.stalled`, `upload.interrupted`, what `take`
 * threw, or the signal's reason; never before `take` has ended. The request itself stays alive, so that an answer can be sent.
 */
export function readOneFile(
  request: IncomingMessage,
  contentType: string,
  limits: MultipartLimits,
  signal: AbortSignal,
  take: (file: UploadedFile) => Promise<void>,
): Promise<void> {
  const parser = openParser(contentType, limits);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  let taken: Promise<void> | undefined;
  let file: BusboyFileStream | undefined;
  let received = 0;
  let isSettled = false;
  const idle = setTimeout(onIdle, limits.idleMs);

  function settle(error?: unknown): void {
    if (isSettled) return;
    isSettled = true;
    clearTimeout(idle);
    signal.removeEventListener('abort', onAbort);
    request.off('data', onData).off('close', onClose);
    request.unpipe(parser);
    if (error !== undefined) file?.destroy(error instanceof Error ? error : new Error('aborted'));
    const settled = taken ?? Promise.resolve();
    settled.then(
      () => {
        if (error === undefined) resolve(undefined);
        else reject(error);
      },
      (thrown: unknown) => {
        reject(error ?? thrown);
      },
    );
  }
  function onAbort(): void {
    settle(signal.reason);
  }
  function onData(chunk: Buffer): void {
    received += chunk.length;
    if (received > limits.maxFileBytes + MAX_OVERHEAD_BYTES) settle(new AudiowaveError('upload.too-large'));
    else idle.refresh();
  }
  function onClose(): void {
    // What came after the client had hung up is lost, even where it was all of it: `complete` says only that it has arrived.
    if (!request.readableEnded) settle(new AudiowaveError('upload.interrupted'));
  }
  function onIdle(): void {
    // A store that is slow is not the client's fault.
    if (parser.writableNeedDrain || request.complete) idle.refresh();
    else settle(new AudiowaveError('upload.stalled'));
  }

  parser.on('file', (_field, stream, fileName) => {
    file = stream;
    // Whoever reads the stream gets the error, too; without a listener it would end the process.
    stream.on('error', () => undefined);
    // Of the same bytes that have ended it: nobody takes it any more.
    if (isSettled) {
      stream.resume();
      return;
    }
    stream.once('limit', () => {
      settle(new AudiowaveError('upload.too-large'));
    });
    taken = take({ name: cleanFileName(fileName), bytes: stream });
    taken.catch(settle);
  });
  parser.on('filesLimit', () => {
    settle(new AudiowaveError('upload.not-one-file'));
  });
  parser.on('fieldsLimit', () => {
    settle(new AudiowaveError('upload.malformed', 'The upload has too many fields.'));
  });
  parser.on('error', (cause) => {
    settle(new AudiowaveError('upload.malformed', undefined, { cause }));
  });
  parser.on('finish', () => {
    settle(file === undefined ? new AudiowaveError('upload.not-one-file') : undefined);
  });

  if (signal.aborted) {
    onAbort();
    return promise;
  }
  signal.addEventListener('abort', onAbort, { once: true });
  request.once('close', onClose).on('error', onClose);
  askForBody(request);
  request.pipe(parser);
  request.on('data', onData);
  return promise;
}
