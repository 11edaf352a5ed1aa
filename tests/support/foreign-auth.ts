import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { foreignClaims, foreignToken } from './foreign-token.ts';
import { listen } from './listen.ts';

export interface ForeignAuth {
  readonly url: string;
  /** Each request: method and path, and what it said of itself. */
  readonly requests: { readonly line: string; readonly headers: IncomingMessage['headers'] }[];
  /** Answers everything by `reply` from now on; undefined: as the original does. */
  reply: ((response: ServerResponse) => void) | undefined;
}

const SECRET = 'sarcasm';

/**
 * An auth server that answers as the original of the family does, by hand: plain text, no probes, no registration, 500
 * for a header it did not think of. It knows `georgio@email.com` with `Admin123`.
 */
export async function startForeignAuth(t: Pick<TestContext, 'after'>): Promise<ForeignAuth> {
  const foreign: { -readonly [K in keyof ForeignAuth]: ForeignAuth[K] } = {
    url: '',
    requests: [],
    reply: undefined,
  };
  const server = createServer((request, response) => {
    foreign.requests.push({ line: `${request.method ?? ''} ${request.url ?? ''}`, headers: request.headers });
    request.resume();
    response.setHeader('content-type', 'text/html; charset=utf-8');
    if (foreign.reply !== undefined) foreign.reply(response);
    else answer(request, response);
  });
  foreign.url = `http://127.0.0.1:${String(await listen(t, server))}`;
  return foreign;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [scheme, value] = (request.headers.authorization ?? '').split(' ');
  const end = (status: number, body: string): void => void response.writeHead(status).end(body);
  if (request.url === '/login') {
    if (scheme !== 'Basic') end(401, 'missing credentials');
    else if (Buffer.from(value ?? '', 'base64').toString() === 'georgio@email.com:Admin123') {
      end(200, foreignToken(SECRET, foreignClaims('georgio@email.com')));
    } else end(401, 'invalid credentials');
  } else if (request.url === '/validate') {
    const [header, payload] = (value ?? '').split('.');
    if (payload === undefined) end(500, 'Internal Server Error');
    else {
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
      const isGood = foreignToken(SECRET, claims) === value && header !== '';
      if (isGood) response.setHeader('content-type', 'application/json');
      end(isGood ? 200 : 403, isGood ? `${JSON.stringify(claims)}\n` : 'not authorized');
    }
  } else end(404, '<!doctype html><title>404 Not Found</title>');
}
