import type { Server } from 'node:http';
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { AudiowaveError } from '../../domain/errors.ts';
import { requestIdOf } from '../../domain/request-id.ts';
import { addDownloadRoutes } from './download/routes.ts';
import type { App, Edge } from './edge.ts';
import { answerWithError, errorHandler } from './errors.ts';
import { addHealthRoutes } from './health.ts';
import { KnownRoutes } from './known-routes.ts';
import { addLoginRoute } from './login.ts';
import { addPageRoutes } from './page/page.ts';
import { logRequests } from './request-log.ts';
import { makeServer } from './server.ts';
import { answerBeforeBody } from './unread-body.ts';
import { addUploadRoute } from './upload/routes.ts';
import { addV1Routes } from './v1/v1.ts';

/** Builds the application with all its routes. `config.invalid` for a trusted proxy that is no address, network or name. */
export async function makeApp(edge: Edge, servers: Server[]): Promise<App> {
  const app = makeFastify(edge, servers);
  const routes = new KnownRoutes();
  app.decorateRequest('caller', null);
  app.decorateRequest('bodyType', undefined);
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  // The schemas describe what we make ourselves; plain JSON.stringify hides no mistake and drops no field.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  // Routes read their bodies themselves, after their checks; Fastify would answer in its own words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });
  app.addHook('onRoute', (route) => {
    routes.add(route);
  });
  addRequestHooks(app, edge, routes);
  app.setErrorHandler(errorHandler(edge.deps.log));
  app.setNotFoundHandler((request, reply) => {
    answerWithError(noSuchRoute(routes, request, reply), request, reply);
  });

  addLoginRoute(app, edge);
  addUploadRoute(app, edge);
  addDownloadRoutes(app, edge);
  addHealthRoutes(app, edge);
  await app.register((v1: App) => addV1Routes(v1, edge, routes), { prefix: '/api/v1' });
  if (edge.settings.webFolder !== undefined) addPageRoutes(app, edge.settings.webFolder);
  await app.ready();
  return app;
}

function makeFastify(edge: Edge, servers: Server[]): App {
  const { trustedProxies } = edge.settings;
  try {
    return Fastify({
      logger: false,
      trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
      exposeHeadRoutes: false,
      return503OnClosing: false,
      forceCloseConnections: 'idle',
      requestIdHeader: false,
      genReqId: (request) => requestIdOf(request.headers['x-request-id']),
      frameworkErrors: (_error, request, reply) => {
        reply.header('x-request-id', request.id);
        answerWithError(new AudiowaveError('request.not-found'), request, reply);
      },
      serverFactory: (handler, options) => {
        const server = makeServer(handler, options.http ?? {});
        servers.push(server);
        return server;
      },
    }).withTypeProvider<TypeBoxTypeProvider>();
  } catch (cause) {
    const message = 'TRUSTED_PROXIES holds something that is no address or CIDR.';
    throw new AudiowaveError('config.invalid', message, { cause });
  }
}

function addRequestHooks(app: App, edge: Edge, routes: KnownRoutes): void {
  app.addHook('onRequest', logRequests(edge.deps.log));
  app.addHook('onRequest', async (request, reply) => {
    reply
      .header('x-request-id', request.id)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('x-frame-options', 'DENY');
    // Answered here, before Fastify looks at the body of a request that leads nowhere.
    if (request.is404) throw noSuchRoute(routes, request, reply);
  });
  app.addHook('onSend', answerBeforeBody);
  app.addHook('onSend', async (_request, reply) => {
    // While the gateway stops, no connection shall stay open for another request.
    if (!app.server.listening) reply.header('connection', 'close');
  });
}

function noSuchRoute(routes: KnownRoutes, request: FastifyRequest, reply: FastifyReply): AudiowaveError {
  const methods = routes.methodsAt(request.raw.url ?? '');
  if (methods.length === 0) return new AudiowaveError('request.not-found');
  reply.header('allow', methods.join(', '));
  return new AudiowaveError('request.method-not-allowed');
}
