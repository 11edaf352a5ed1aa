import { prefersJson } from '../../domain/accept.ts';
import { parseBasic } from '../../domain/authorization.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FastifyRequest } from 'fastify';
import { takeContentType } from './unread-body.ts';
import { askAuth } from './access.ts';
import type { App, Edge } from './edge.ts';

/** `POST /login` of the drop-in contract: HTTP Basic in, the bare JWT out. */
export function addLoginRoute(app: App, edge: Edge): void {
  const { deps, settings } = edge;
  const onRequest = (request: FastifyRequest, _reply: unknown, done: () => void): void => {
    takeContentType(request);
    done();
  };
  app.post('/login', { onRequest }, async (request, reply) => {
    const credentials = parseBasic(request.headers.authorization);
    if (credentials === undefined) throw new AudiowaveError('auth.missing-credentials');
    const clientAddress = request.ip;
    const token = await askAuth((signal) => deps.auth.login({ ...credentials, clientAddress }, signal));
    void reply.header('cache-control', 'no-store').header('vary', 'Accept');
    const isJson = settings.loginResponse === 'json' || prefersJson(request.headers.accept);
    return isJson ? reply.send({ token }) : reply.type('text/html; charset=utf-8').send(token);
  });
}
