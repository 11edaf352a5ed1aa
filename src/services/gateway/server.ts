import { createServer, STATUS_CODES, type RequestListener, type Server, type ServerOptions } from 'node:http';
import type { Socket } from 'node:net';
import { holdBody } from './unread-body.ts';

const HEADERS_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 72_000;

/**
 * The HTTP server. Bodies have no time limit as a whole, since a large upload may take hours: what reads one has an idle
 * timer. A client that sends `Expect: 100-continue` is let wait until the checks are done.
 */
export function makeServer(handler: RequestListener, options: ServerOptions): Server {
  const server = createServer(
    { ...options, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS },
    handler,
  );
  server.on('checkContinue', (request, response) => {
    holdBody(request, response);
    server.emit('request', request, response);
  });
  server.on('clientError', answerUnreadable);
  return server;
}

/** What is no HTTP gets a short answer, and the connection goes. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0 || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = statusOf(error.code);
  const text = STATUS_CODES[status]?.toLowerCase() ?? 'bad request';
  socket.end(
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? 'Bad Request'}\r\n` +
      `Content-Type: text/html; charset=utf-8\r\nContent-Length: ${String(text.length)}\r\nConnection: close\r\n\r\n${text}`,
  );
}

function statusOf(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
