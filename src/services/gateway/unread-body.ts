import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** Requests whose client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1). */
const waiting = new WeakMap<IncomingMessage, ServerResponse>();

/** Notes that the client waits; the body is asked for by {@link askForBody} only, after the checks. */
export function holdBody(request: IncomingMessage, response: ServerResponse): void {
  waiting.set(request, response);
}

/** Tells a client that waits to send the body now. To be called before the body is read. */
export function askForBody(request: IncomingMessage): void {
  const response = waiting.get(request);
  waiting.delete(request);
  if (response !== undefined && !response.headersSent) response.writeContinue();
}

/**
 * Keeps a request's Content-Type from Fastify, which answers one that it can't parse in its own words. For routes that
 * read their body themselves, or need none.
 */
export function takeContentType(request: FastifyRequest): void {
  const { headers } = request.raw;
  request.bodyType = headers['content-type'];
  delete headers['content-type'];
}

function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/** True where bytes of the body may still come. */
function isUnread(request: IncomingMessage): boolean {
  return hasBody(request) && !request.complete;
}

// A refused client gets this much time and this many bytes to notice the answer before the connection goes.
const DRAIN_BYTES = 32 * 1024 * 1024;
const DRAIN_MS = 10_000;
const DRAIN_IDLE_MS = 2_000;
const DRAIN_IDLE_WAITING_MS = 250;

/** Reads and drops the rest of the body, within bounds. Resolves always. */
function drain(request: IncomingMessage, idleMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (request.complete || request.destroyed) {
      resolve();
      return;
    }
    let bytes = 0;
    const total = setTimeout(done, DRAIN_MS);
    const idle = setTimeout(done, idleMs);
    function count(chunk: Buffer): void {
      bytes += chunk.length;
      if (bytes > DRAIN_BYTES) done();
      else idle.refresh();
    }
    function done(): void {
      clearTimeout(total);
      clearTimeout(idle);
      request.off('data', count).off('end', done).off('close', done);
      resolve();
    }
    request.on('data', count).once('end', done).once('close', done).on('error', done);
    request.resume();
  });
}

/**
 * onSend hook: an answer that comes before its request's body was read reaches a client that is still sending. The
 * answer goes out whole and at once; its end, and with it the connection's, waits until the client had time to read it:
 * closing with unread bytes would make the client's system throw the answer away.
 */
export function answerBeforeBody(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  if (!isUnread(request.raw)) return Promise.resolve(payload);
  reply.header('connection', 'close');
  if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return Promise.resolve(payload);
  const body = Buffer.from(payload);
  reply.header('content-length', body.length);
  const idleMs = waiting.has(request.raw) ? DRAIN_IDLE_WAITING_MS : DRAIN_IDLE_MS;
  async function* answerThenDrain(): AsyncGenerator<Buffer> {
    yield body;
    await drain(request.raw, idleMs);
  }
  return Promise.resolve(Readable.from(answerThenDrain(), { objectMode: false }));
}
