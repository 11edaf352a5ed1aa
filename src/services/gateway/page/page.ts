import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AudiowaveError } from '../../../domain/errors.ts';
import { isNotModified } from '../download/preconditions.ts';
import type { App } from '../edge.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
};

/** Only what this server sends itself may run, load or be shown; nothing may frame the page. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves the page: `/` and `/assets/*` from the files of `folder`. */
export function addPageRoutes(app: App, folder: string): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/',
    handler: (request, reply) => sendFile(request, reply, join(folder, 'index.html')),
  });
  app.route<{ Params: { '*': string } }>({
    method: ['GET', 'HEAD'],
    url: '/assets/*',
    handler: (request: FastifyRequest<{ Params: { '*': string } }>, reply: FastifyReply) =>
      sendFile(request, reply, assetPath(folder, request.params['*'])),
  });
}

/** Plain names only: no way leads out of the folder, nor to hidden files. */
function assetPath(folder: string, asked: string): string {
  const parts = asked.split('/');
  if (!parts.every((part) => /^[\w-][\w.-]*$/.test(part))) throw new AudiowaveError('request.not-found');
  return join(folder, 'assets', ...parts);
}

async function sendFile(request: FastifyRequest, reply: FastifyReply, path: string): Promise<FastifyReply> {
  const type = TYPES[extname(path)];
  const bytes = type === undefined ? undefined : await readFile(path).catch(() => undefined);
  if (type === undefined || bytes === undefined) throw new AudiowaveError('request.not-found');
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  reply
    .type(type)
    .header('etag', etag)
    .header('cache-control', 'no-cache')
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('cross-origin-opener-policy', 'same-origin');
  const ifNoneMatch = request.headers['if-none-match'];
  const isCopyGood =
    ifNoneMatch !== undefined && isNotModified({ 'if-none-match': ifNoneMatch }, { etag, modifiedAt: 0 });
  return isCopyGood ? reply.code(304).send() : reply.send(bytes);
}
