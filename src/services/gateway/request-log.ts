import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import type { Logger } from '../../ports/logger.ts';

/** How far the requests before have brought a connection's counters. */
const accounted = new WeakMap<Socket, { read: number; written: number }>();

const QUIET = new Set(['/healthz', '/readyz']);

/**
 * onRequest hook: one line when a request is over, answered or not. The route's pattern stands in it, never the URL: a
 * one-click link or a query may hold a secret.
 */
export function logRequests(
  log: Logger,
): (request: FastifyRequest, reply: FastifyReply, done: () => void) => void {
  return (request, reply, done) => {
    const { socket } = request.raw;
    const started = performance.now();
    reply.raw.once('close', () => {
      const route = request.routeOptions.url;
      const hungUp = !reply.raw.writableFinished;
      const level = route !== undefined && QUIET.has(route) ? 'debug' : 'info';
      log[level](
        {
          method: request.method,
          route: route ?? 'none',
          status: hungUp && !reply.raw.headersSent ? null : reply.raw.statusCode,
          durationMs: Math.round(performance.now() - started),
          ...countBytes(socket),
          requestId: request.id,
          ...(request.caller === null ? {} : { owner: request.caller.username }),
          ...(hungUp ? { hungUp } : {}),
        },
        'request',
      );
    });
    done();
  };
}

function countBytes(socket: Socket): { bytesReceived: number; bytesSent: number } {
  const before = accounted.get(socket) ?? { read: 0, written: 0 };
  const now = { read: socket.bytesRead, written: socket.bytesWritten };
  accounted.set(socket, now);
  return { bytesReceived: now.read - before.read, bytesSent: now.written - before.written };
}
