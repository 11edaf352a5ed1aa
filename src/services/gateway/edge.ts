import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '../../domain/errors.ts';
import type { Claims } from '../../domain/user.ts';
import type { PatientAnnouncer } from '../../flow/patient-announcer.ts';
import type { Imports } from './import/imports.ts';
import type { RunningWork } from './running-work.ts';
import type { GatewayDeps, GatewaySettings } from './settings.ts';

/** The Fastify application of the gateway. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the routes share. */
export interface Edge {
  readonly deps: GatewayDeps;
  readonly settings: GatewaySettings;
  readonly work: RunningWork;
  readonly announcer: PatientAnnouncer;
  readonly imports: Imports;
  /** Base of links, without a slash at its end; known once the gateway listens. */
  readonly publicUrl: () => string;
}

/** What the OpenAPI document says of a route besides its schemas. */
export interface RouteDoc {
  readonly summary: string;
  readonly access: 'public' | 'token';
  readonly errors: readonly ErrorCode[];
  /** Body by media type, where the route reads its body itself. */
  readonly body?: Readonly<Record<string, object>>;
  /** Bodies of successes that are not JSON, by status and media type. */
  readonly media?: Readonly<
    Record<number, { readonly description: string; readonly types: readonly string[] }>
  >;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What the token of the request says, once it was found good. */
    caller: Claims | null;
    /** Its Content-Type, where the route reads its body itself: see takeContentType(). */
    bodyType: string | undefined;
  }
  interface FastifyContextConfig {
    doc?: RouteDoc;
  }
}
