import type { FastifyRequest } from 'fastify';
import { readJsonBody } from '../json-body.ts';
import type { App, Edge } from '../edge.ts';
import type { KnownRoutes } from '../known-routes.ts';
import { addAccountRoutes } from './account-routes.ts';
import { addConversionRoutes } from './conversion-routes.ts';
import { describeApi } from './openapi.ts';
import { addUploadV1Route } from './upload-route.ts';

/** Everything under /api/v1. */
export async function addV1Routes(app: App, edge: Edge, routes: KnownRoutes): Promise<void> {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store');
    done();
  });

  await app.register((scope: App, _options, done) => {
    addUploadV1Route(scope, edge);
    done();
  });

  await app.register((scope: App, _options, done) => {
    scope.addContentTypeParser('application/json', (request: FastifyRequest) => readJsonBody(request.raw));
    addAccountRoutes(scope, edge);
    done();
  });

  await app.register((scope: App, _options, done) => {
    addConversionRoutes(scope, edge);
    done();
  });

  app.route({
    method: ['GET', 'HEAD'],
    url: '/openapi.json',
    config: {
      doc: {
        summary: 'This document',
        access: 'public',
        errors: [],
        media: { 200: { description: 'OpenAPI 3.1.', types: ['application/json'] } },
      },
    },
    handler: (_request, reply) => reply.send(describeApi(routes.all, edge.settings.version)),
  });
}
