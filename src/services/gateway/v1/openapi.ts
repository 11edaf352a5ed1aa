import { ERRORS, type ErrorCode } from '../../../domain/errors.ts';
import type { RouteDoc } from '../edge.ts';
import type { KnownRoute } from '../known-routes.ts';
import { statusOf } from '../statuses.ts';
import { Problem } from './schemas.ts';

interface RouteSchema {
  readonly params?: ObjectSchema;
  readonly querystring?: ObjectSchema;
  readonly body?: object;
  readonly response?: Readonly<Record<string, object>>;
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
  readonly required?: readonly string[];
}

/** The OpenAPI 3.1 document of the routes that carry a {@link RouteDoc}. */
export function describeApi(routes: readonly KnownRoute[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    if (route.doc === undefined) continue;
    const path = route.url.replace(/:(\w+)/g, '{$1}');
    // HEAD is GET without the body, for every route; it needs no entry of its own.
    for (const method of route.methods.filter((name) => name !== 'HEAD')) {
      paths[path] = { ...paths[path], [method.toLowerCase()]: describeRoute(route.doc, route.schema ?? {}) };
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Audiowave',
      version,
      description: 'Turns video into MP3: upload, convert, mail, download.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { Problem },
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}

function describeRoute(doc: RouteDoc, schema: RouteSchema): object {
  const parameters = [...parametersOf('path', schema.params), ...parametersOf('query', schema.querystring)];
  const body = doc.body ?? (schema.body === undefined ? undefined : { 'application/json': schema.body });
  return {
    summary: doc.summary,
    ...(doc.access === 'token' ? { security: [{ token: [] }] } : { security: [] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: content(body) } }),
    responses: { ...successes(doc, schema), ...failures(doc) },
  };
}

function parametersOf(place: 'path' | 'query', schema: ObjectSchema | undefined): object[] {
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || (schema?.required ?? []).includes(name),
    ...(property.description === undefined ? {} : { description: property.description }),
    schema: property,
  }));
}

function content(bodies: Readonly<Record<string, object>>): object {
  return Object.fromEntries(Object.entries(bodies).map(([type, schema]) => [type, { schema }]));
}

function successes(doc: RouteDoc, schema: RouteSchema): Record<string, object> {
  const json = Object.entries(schema.response ?? {}).map(([status, body]) => [
    status,
    { description: 'Done.', content: content({ 'application/json': body }) },
  ]);
  const media = Object.entries(doc.media ?? {}).map(([status, { description, types }]) => [
    status,
    types.length === 0
      ? { description }
      : { description, content: content(Object.fromEntries(types.map(schemaOf))) },
  ]);
  return Object.fromEntries([...json, ...media]) as Record<string, object>;
}

function schemaOf(type: string): [string, object] {
  return [type, type === PROBLEM_TYPE ? PROBLEM_REF : { contentMediaType: type }];
}

const PROBLEM_TYPE = 'application/problem+json';
const PROBLEM_REF = { $ref: '#/components/schemas/Problem' };

// What any route with a token may answer, besides its own errors.
const WITH_TOKEN: readonly ErrorCode[] = ['auth.missing-credentials', 'auth.invalid-token', 'auth.forbidden'];
const ALWAYS: readonly ErrorCode[] = ['store.unavailable', 'internal.error'];

function failures(doc: RouteDoc): Record<string, object> {
  const codes = [...doc.errors, ...(doc.access === 'token' ? WITH_TOKEN : []), ...ALWAYS];
  const byStatus = Map.groupBy(new Set(codes), statusOf);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      String(status),
      {
        description: group.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join('\n\n'),
        content: content({ [PROBLEM_TYPE]: PROBLEM_REF }),
      },
    ]),
  );
}
