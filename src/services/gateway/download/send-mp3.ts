import { create as contentDisposition } from 'content-disposition';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import { AudiowaveError } from '../../../domain/errors.ts';
import type { FileId } from '../../../domain/ids.ts';
import type { FileInfo, FileStore } from '../../../ports/file-store.ts';
import { mp3NameOf } from '../upload/file-name.ts';
import { isNotModified, rangeApplies, type Validators } from './preconditions.ts';
import { parseRange, type ByteRange } from './range.ts';

export interface Mp3Request {
  readonly fid: FileId;
  /** Name of the video; the download is named after it. */
  readonly videoName: string | null;
  /** To be played in place rather than saved. */
  readonly inline?: boolean;
}

/** A client that takes no byte for so long is gone. */
const STALLED_MS = 120_000;

/**
 * Answers GET and HEAD with an MP3: whole, a range of it (206, 416), or 304 (RFC 9110). `file.unknown` where there is
 * none. The file's bytes never change under its id, so id and size are a strong validator.
 */
export async function sendMp3(
  request: FastifyRequest,
  reply: FastifyReply,
  mp3s: FileStore,
  wanted: Mp3Request,
): Promise<FastifyReply> {
  const info = await mp3s.stat(wanted.fid);
  if (info === undefined) throw new AudiowaveError('file.unknown');
  const validators = { etag: `"${info.id}-${String(info.sizeBytes)}"`, modifiedAt: info.storedAt };
  const { headers } = request.raw;
  if (isNotModified(headers, validators)) return describe(reply.code(304), wanted, validators).send();
  const mayRange = request.method === 'GET' && rangeApplies(headers, validators);
  const range = mayRange ? parseRange(headers.range, info.sizeBytes) : undefined;
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${String(info.sizeBytes)}`);
    throw new AudiowaveError('file.range-not-satisfiable');
  }
  return request.method === 'HEAD'
    ? describe(reply, wanted, validators).header('content-length', info.sizeBytes).send()
    : sendBytes(reply, mp3s, wanted, { info, validators, range });
}

function describe(reply: FastifyReply, wanted: Mp3Request, validators: Validators): FastifyReply {
  const type = wanted.inline === true ? 'inline' : 'attachment';
  return reply
    .type('audio/mpeg')
    .header('content-disposition', contentDisposition(mp3NameOf(wanted.videoName, wanted.fid), { type }))
    .header('etag', validators.etag)
    .header('last-modified', new Date(validators.modifiedAt).toUTCString())
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, no-cache')
    .header('x-content-type-options', 'nosniff');
}

async function sendBytes(
  reply: FastifyReply,
  mp3s: FileStore,
  wanted: Mp3Request,
  { info, validators, range }: { info: FileInfo; validators: Validators; range: ByteRange | undefined },
): Promise<FastifyReply> {
  const left = new AbortController();
  reply.raw.once('close', () => {
    left.abort();
  });
  const bytes = mp3s.read(wanted.fid, { ...range, signal: left.signal });
  // The first step tells whether the file can be read at all, while an error can still be answered.
  const chunks = bytes[Symbol.asyncIterator]();
  const first = await chunks.next();
  describe(reply, wanted, validators);
  if (range !== undefined) {
    const { start, end } = range;
    reply
      .code(206)
      .header('content-range', `bytes ${String(start)}-${String(end)}/${String(info.sizeBytes)}`);
  }
  const length = range === undefined ? info.sizeBytes : range.end - range.start + 1;
  reply.header('content-length', length);
  reply.raw.setTimeout(STALLED_MS, () => reply.raw.destroy());
  const stream = Readable.from(resume(first, chunks, length), {
    objectMode: false,
    highWaterMark: 256 * 1024,
  });
  // A client that is gone already has the stream destroyed unread, and return() of a generator that nobody has begun
  // runs nothing: the file would stay open.
  stream.once('close', () => void chunks.return?.().catch(() => undefined));
  return reply.send(stream);
}

/**
 * The bytes, `length` of them. An error in the middle, or an end before that, breaks the connection off: a client must
 * never take a part for the whole, nor wait for the rest.
 */
async function* resume(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let sent = 0;
  for (let next = first; next.done !== true; next = await rest.next()) {
    sent += next.value.byteLength;
    yield next.value;
  }
  if (sent === length) return;
  throw new AudiowaveError('store.unavailable', undefined, {
    detail: `${String(sent)} of ${String(length)} bytes`,
  });
}
