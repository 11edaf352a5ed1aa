import assert from 'node:assert/strict';
import { bearer, type Fixture } from './gateway-fixture.ts';

export type Json = Record<string, unknown>;

/** Calls /api/v1, as ann unless said otherwise. */
export async function call(
  gateway: Fixture,
  method: string,
  path: string,
  options: {
    token?: string;
    json?: unknown;
    body?: FormData | string;
    headers?: Record<string, string>;
  } = {},
): Promise<{ status: number; headers: Headers; body: Json }> {
  const { token = 'ann', json, headers = {} } = options;
  const body = json === undefined ? options.body : JSON.stringify(json);
  const answer = await fetch(`${gateway.url}/api/v1${path}`, {
    method,
    headers: {
      ...(token === '' ? {} : bearer(token)),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  const isJson = (answer.headers.get('content-type') ?? '').includes('json');
  return { status: answer.status, headers: answer.headers, body: isJson ? (JSON.parse(text) as Json) : {} };
}

/** The answer is a problem of RFC 9457 with this status and code. */
export function expectProblem(answer: Awaited<ReturnType<typeof call>>, status: number, code: string): void {
  const { body, headers } = answer;
  assert.deepEqual([answer.status, body.code, body.status], [status, code, status]);
  assert.equal(headers.get('content-type'), 'application/problem+json');
  assert.equal(body.type, `urn:audiowave:error:${code}`);
  assert.equal(body.requestId, headers.get('x-request-id'));
  assert.deepEqual(
    [typeof body.title, typeof body.detail, typeof body.retryable],
    ['string', 'string', 'boolean'],
  );
  if (status === 401) assert.match(headers.get('www-authenticate') ?? '', /^Bearer/);
  if (status === 429 || status === 503) assert.match(headers.get('retry-after') ?? '', /^\d+$/);
}
