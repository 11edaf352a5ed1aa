import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { listen } from './listen.ts';

/** A web server of a test on 127.0.0.1; its address without a slash at the end. */
export interface VideoServer {
  readonly url: string;
  readonly port: number;
  /** Path and header fields of each request, in order. */
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  /** Connections that are open now. */
  openConnections(): number;
}

/** Answers every request with `answer`. */
export async function serveVideo(
  t: Pick<TestContext, 'after'>,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<VideoServer> {
  const requests: VideoServer['requests'] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? '', headers: request.headers });
    answer(request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listen(t, server);
  return { url: `http://127.0.0.1:${String(port)}`, port, requests, openConnections: () => sockets.size };
}

/** Answers every connection with raw bytes, as soon as a request has begun to come. */
export async function serveRaw(
  t: Pick<TestContext, 'after'>,
  answer: (socket: Socket) => void,
): Promise<{ readonly url: string }> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      answer(socket);
    });
  });
  const port = await listen(t, server);
  return { url: `http://127.0.0.1:${String(port)}` };
}
