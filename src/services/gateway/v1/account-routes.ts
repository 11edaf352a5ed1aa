import { AudiowaveError } from '../../../domain/errors.ts';
import { askAuth, callerOf, requireToken } from '../access.ts';
import type { App, Edge } from '../edge.ts';
import { Account, CredentialsBody, Me, OutboxList, Service, Session } from './schemas.ts';

const OUTBOX_LIMIT = 100;

/** What this installation is, sessions, accounts, and the outbox of the laptop. */
export function addAccountRoutes(app: App, edge: Edge): void {
  addServiceRoute(app, edge);
  addSessionRoute(app, edge);
  addRegistrationRoute(app, edge);
  addMeRoute(app, edge);
  addOutboxRoute(app, edge);
}

function addServiceRoute(app: App, { deps, settings }: Edge): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/service',
    schema: { response: { 200: Service } },
    config: { doc: { summary: 'What this installation is and allows', access: 'public', errors: [] } },
    handler: () => ({
      name: 'audiowave' as const,
      version: settings.version,
      registration: settings.registration,
      outbox: deps.outbox !== undefined,
      maxUploadBytes: settings.maxUploadBytes,
    }),
  });
}

function addSessionRoute(app: App, { deps }: Edge): void {
  app.route({
    method: 'POST',
    url: '/sessions',
    schema: { body: CredentialsBody, response: { 201: Session } },
    config: {
      doc: {
        summary: 'Log in',
        access: 'public',
        errors: [
          'request.malformed',
          'request.too-large',
          'auth.invalid-credentials',
          'auth.too-many-attempts',
          'auth.busy',
        ],
      },
    },
    handler: async (request, reply) => {
      const clientAddress = request.ip;
      const { email, password } = request.body;
      const token = await askAuth((signal) => deps.auth.login({ email, password, clientAddress }, signal));
      const { exp } = await askAuth((signal) => deps.auth.validate(token, signal));
      return reply.code(201).send({ token, expiresAt: new Date(exp * 1000).toISOString() });
    },
  });
}

function addRegistrationRoute(app: App, { deps, settings }: Edge): void {
  app.route({
    method: 'POST',
    url: '/users',
    schema: { body: CredentialsBody, response: { 201: Account } },
    config: {
      doc: {
        summary: 'Make an account, where registration is open',
        access: 'public',
        errors: [
          'request.malformed',
          'request.too-large',
          'auth.registration-closed',
          'auth.too-many-attempts',
          'auth.busy',
          'user.exists',
          'user.invalid-email',
          'user.weak-password',
        ],
      },
    },
    handler: async (request, reply) => {
      if (settings.registration === 'closed') throw new AudiowaveError('auth.registration-closed');
      const credentials = { ...request.body, clientAddress: request.ip };
      const user = await askAuth((signal) => deps.auth.register(credentials, signal));
      const { id, email, role } = user;
      return reply.code(201).send({ id, email, role, createdAt: new Date(user.createdAt).toISOString() });
    },
  });
}

function addMeRoute(app: App, { deps }: Edge): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/users/me',
    onRequest: requireToken(deps.auth),
    schema: { response: { 200: Me } },
    config: { doc: { summary: 'Whose token this is', access: 'token', errors: [] } },
    handler: async (request, reply) => {
      const { username, role } = callerOf(request);
      return reply.send({ email: username, role: role ?? 'user' });
    },
  });
}

function addOutboxRoute(app: App, { deps }: Edge): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/outbox',
    onRequest: requireToken(deps.auth),
    schema: { response: { 200: OutboxList } },
    config: {
      doc: {
        summary: 'Your mails, newest first, where mails stay on this machine',
        access: 'token',
        errors: ['request.not-found'],
      },
    },
    handler: async (request, reply) => {
      if (deps.outbox === undefined)
        throw new AudiowaveError('request.not-found', 'There is no outbox here.');
      const mails = await deps.outbox.list(callerOf(request).username, OUTBOX_LIMIT);
      const items = mails.map(({ name, to, subject, text, sentAt }) => ({
        name,
        to,
        subject,
        text,
        sentAt: new Date(sentAt).toISOString(),
      }));
      return reply.send({ items });
    },
  });
}
