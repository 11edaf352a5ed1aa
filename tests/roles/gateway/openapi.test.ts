import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS } from '../../../src/domain/errors.ts';
import { plainAnswerOf, statusOf } from '../../../src/services/gateway/statuses.ts';
import { openGateway } from './gateway-fixture.ts';

interface Operation {
  readonly summary?: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly responses: Record<string, { readonly description?: string; readonly content?: object }>;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: object };
}

/** The routes of the settled API. */
const ROUTES = [
  'get /api/v1/service',
  'post /api/v1/sessions',
  'post /api/v1/users',
  'get /api/v1/users/me',
  'post /api/v1/conversions',
  'get /api/v1/conversions',
  'get /api/v1/conversions/{id}',
  'delete /api/v1/conversions/{id}',
  'get /api/v1/conversions/{id}/mp3',
  'post /api/v1/conversions/{id}/links',
  'get /api/v1/outbox',
  'get /api/v1/openapi.json',
];

void test('the OpenAPI document holds exactly the routes of /api/v1, each complete', async (t) => {
  const gateway = await openGateway(t);
  const answer = await fetch(`${gateway.url}/api/v1/openapi.json`);
  const document = (await answer.json()) as Document;
  assert.match(document.openapi, /^3\.1\./);
  assert.equal(document.info.version, '1.2.3');
  const found = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(found.sort(), [...ROUTES].sort());
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods))
      checkOperation(`${method} ${path}`, path, operation);
  }
});

function checkOperation(name: string, path: string, operation: Operation): void {
  assert.ok(operation.summary, name);
  assert.ok(operation.security, name);
  const wanted = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
  assert.deepEqual(
    inPath.map((parameter) => parameter.name),
    wanted,
    name,
  );
  assert.ok(
    inPath.every(({ required }) => required),
    name,
  );
  const statuses = Object.keys(operation.responses);
  assert.ok(
    statuses.some((status) => status.startsWith('2')),
    name,
  );
  assert.ok(
    statuses.every((status) => /^[2-5]\d\d$/.test(status)),
    name,
  );
  assert.ok(
    Object.values(operation.responses).every(({ description }) => description),
    name,
  );
  if (operation.security.length === 1) assert.ok(statuses.includes('401') && statuses.includes('403'), name);
}

void test('every path of the document answers, and nothing in it points to nowhere', async (t) => {
  const gateway = await openGateway(t);
  const text = await (await fetch(`${gateway.url}/api/v1/openapi.json`)).text();
  const document = JSON.parse(text) as Document;
  for (const [path, methods] of Object.entries(document.paths)) {
    const url = gateway.url + path.replace('{id}', '0'.repeat(24));
    const allow = (await fetch(url, { method: 'PATCH' })).headers.get('allow') ?? '';
    for (const method of Object.keys(methods))
      assert.ok(allow.split(', ').includes(method.toUpperCase()), `${method} ${path}`);
  }
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(name in document.components.schemas, name);
  }
});

void test('every error code has a status, and a plain answer for the drop-in routes', () => {
  for (const code of Object.keys(ERRORS) as (keyof typeof ERRORS)[]) {
    assert.ok(statusOf(code) >= 400 && statusOf(code) < 600, code);
    const { status, text } = plainAnswerOf(code);
    assert.ok(status >= 400 && status < 600, code);
    assert.match(text, /^[a-z][a-z0-9 ]+$/, code);
  }
});
