import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { prefersJson } from '../../domain/accept.ts';
import { parseBasic, parseBearer } from '../../domain/authorization.ts';
import type { AuthApi } from '../../ports/auth-api.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Readiness } from '../../ports/role.ts';
import { sendProblem, sendText, sendUnauthorized } from './answers.ts';
import { readCredentials, readJsonBody } from './registration-body.ts';

export interface AuthRoutesContext {
  readonly auth: AuthApi;
  readonly readiness: Readiness;
  readonly loginResponse: 'text' | 'json';
  readonly log: Logger;
}

/** The longest that one login or validation may take. */
const DEADLINE_MS = 30_000;

/** The methods of each path, for `Allow`. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['/login', 'POST'],
  ['/validate', 'POST'],
  ['/api/v1/users', 'POST'],
  ['/healthz', 'GET, HEAD'],
  ['/readyz', 'GET, HEAD'],
]);

/** Adds the routes of the auth section of the drop-in contract, the registration of ours, and the two probes. */
export function addAuthRoutes(app: FastifyInstance, context: AuthRoutesContext): void {
  app.post('/login', (request, reply) => login(context, request, reply));
  app.post('/validate', (request, reply) => validate(context, request, reply));
  app.post('/api/v1/users', (request, reply) => register(context, request, reply));
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { ready, checks } = await context.readiness();
    return reply.code(ready ? 200 : 503).send({ ready, checks });
  });
  app.setNotFoundHandler((request, reply) => {
    const allow = METHODS.get(request.url.split('?', 1)[0] ?? '');
    if (allow === undefined) return sendText(reply, 404, 'not found');
    return sendText(reply.header('allow', allow), 405, 'method not allowed');
  });
}

async function login(
  context: AuthRoutesContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const credentials = parseBasic(request.headers.authorization);
  if (credentials === undefined) return sendUnauthorized(reply, 'Basic', 'missing credentials');
  const token = await context.auth.login({ ...credentials, clientAddress: request.ip }, signalOf(reply));
  void reply.header('cache-control', 'no-store').header('vary', 'Accept');
  const isJson = context.loginResponse === 'json' || prefersJson(request.headers.accept);
  return isJson ? reply.send({ token }) : sendText(reply, 200, token);
}

async function validate(
  context: AuthRoutesContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const token = parseBearer(request.headers.authorization);
  if (token === undefined) return sendUnauthorized(reply, 'Bearer', 'missing credentials');
  const { admin, exp, iat, username, role } = await context.auth.validate(token, signalOf(reply));
  void reply.header('cache-control', 'no-store');
  return reply.send({ admin, exp, iat, username, ...(role === undefined ? {} : { role }) });
}

/** Ours, for a gateway elsewhere: the same call and answers as the gateway's own (docs/api.md). */
async function register(
  context: AuthRoutesContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  try {
    const credentials = readCredentials(await readJsonBody(request.raw));
    const user = await context.auth.register({ ...credentials, clientAddress: request.ip }, signalOf(reply));
    const { id, email, role, createdAt } = user;
    void reply.header('cache-control', 'no-store');
    return await reply.code(201).send({ id, email, role, createdAt: new Date(createdAt).toISOString() });
  } catch (error) {
    return sendProblem(reply, error, context.log);
  }
}

/** Aborts when the client has hung up or the deadline is over. */
function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(new Error('the deadline is over'));
  }, DEADLINE_MS);
  reply.raw.once('close', () => {
    clearTimeout(timer);
    if (!reply.raw.writableFinished) controller.abort(new Error('the client hung up'));
  });
  return controller.signal;
}
