import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AudiowaveError } from '../domain/errors.ts';
import { listeningUrl } from '../domain/listening-url.ts';
import type { Readiness, RunningRole } from '../ports/role.ts';

export interface HealthServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
}

const REQUEST_TIMEOUT_MS = 5_000;

/**
 * Answers the probes of a process whose roles listen nowhere, as the gateway answers them: `/healthz` as long as the
 * process lives, whatever is away, `/readyz` as `readiness` says. `host.port-taken` where another program listens.
 */
export async function startHealthServer(
  readiness: Readiness,
  options: HealthServerOptions,
): Promise<Required<RunningRole>> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 1_000 });
  server.on('request', (request, response) => void answer(request, response, readiness));
  await listen(server, options);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  return { url: listeningUrl(options.host, port), stop: () => stop(server) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  readiness: Readiness,
): Promise<void> {
  const path = request.url?.split('?', 1)[0];
  // A body is of no interest; unread it would keep the connection from its next request.
  request.resume();
  if (path !== '/healthz' && path !== '/readyz') {
    send(request, response, 404, { status: 'not found' });
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    send(request, response, 405, { status: 'method not allowed' });
  } else if (path === '/healthz') {
    send(request, response, 200, { status: 'ok' });
  } else {
    const { ready, checks } = await readiness();
    send(request, response, ready ? 200 : 503, { ready, checks });
  }
}

function send(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
  const json = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(json),
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : json);
}

async function listen(server: Server, { host, port }: HealthServerOptions): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new AudiowaveError('host.port-taken', `Another program listens on port ${String(port)}.`, {
      cause: error,
    });
  }
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  server.closeAllConnections();
  await closed;
}
