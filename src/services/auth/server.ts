import Fastify, { type FastifyInstance } from 'fastify';
import { AudiowaveError } from '../../domain/errors.ts';
import { requestIdOf } from '../../domain/request-id.ts';
import type { AuthApi } from '../../ports/auth-api.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Readiness, RunningRole } from '../../ports/role.ts';
import { sendError, sendText } from './answers.ts';
import { addAuthRoutes } from './routes.ts';

export interface AuthServerContext {
  /** Stays the caller's: stop() leaves it open. */
  readonly auth: AuthApi;
  readonly readiness: Readiness;
  readonly log: Logger;
}

export interface AuthServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Addresses and CIDRs whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** `json`: `POST /login` answers `{"token": …}` to everybody. */
  readonly loginResponse: 'text' | 'json';
}

/**
 * Where gateways are, for an auth that is told of no other proxies. Gateways pass the client's address on, and auth counts
 * failed logins by it: if it counted the gateway's, ten failures of one attacker would lock an account, and a hundred all
 * accounts, for everybody.
 */
export const GATEWAY_NETWORKS: readonly string[] = [
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
];

/** A request must be here whole within this time. */
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * Serves auth alone, as the drop-in contract's auth section says (port 5000 there). `host.port-taken` where another
 * program listens; `config.invalid` for a trusted proxy that is neither address nor CIDR.
 */
export async function startAuthServer(
  context: AuthServerContext,
  options: AuthServerOptions,
): Promise<RunningRole> {
  const app = makeApp(options.trustedProxies);
  ignoreBodies(app);
  logRequests(app, context.log);
  app.setErrorHandler((error: unknown, _request, reply) => {
    // Fastify's own refusals, of a malformed URL for example, carry a status.
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
    return status < 500 ? sendText(reply, status, 'bad request') : sendError(reply, error, context.log);
  });
  addAuthRoutes(app, { ...context, loginResponse: options.loginResponse });
  const url = await listen(app, options);
  return { url, stop: (graceMs) => stop(app, graceMs) };
}

function makeApp(trustedProxies: readonly string[]): FastifyInstance {
  try {
    return Fastify({
      logger: false,
      trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
      requestTimeout: REQUEST_TIMEOUT_MS,
      forceCloseConnections: 'idle',
      requestIdHeader: false,
      genReqId: (request) => requestIdOf(request.headers['x-request-id']),
      frameworkErrors: (_error, _request, reply) => void sendText(reply, 400, 'bad request'),
    });
  } catch (error) {
    const message = 'TRUSTED_PROXIES holds something that is no address or CIDR.';
    throw new AudiowaveError('config.invalid', message, { cause: error });
  }
}

/**
 * No route needs a body, so none may fail for its form: curl sends forms, others JSON, with types that Fastify would
 * answer with 415. Node reads on and drops what comes after the answer, for as long as a request may take.
 */
function ignoreBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });
  app.addHook('onRequest', (request, _reply, done) => {
    delete request.raw.headers['content-type'];
    done();
  });
}

function logRequests(app: FastifyInstance, log: Logger): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const path = request.url.split('?', 1)[0];
    const level = path === '/healthz' || path === '/readyz' ? 'debug' : 'info';
    log[level](
      {
        requestId: request.id,
        method: request.method,
        path,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      'request answered',
    );
    done();
  });
}

async function listen(app: FastifyInstance, { host, port }: AuthServerOptions): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await app.close();
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      throw new AudiowaveError('host.port-taken', `Another program listens on port ${String(port)}.`, {
        cause: error,
      });
    }
    throw error;
  }
}

async function stop(app: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setTimeout(() => {
    app.server.closeAllConnections();
  }, graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
