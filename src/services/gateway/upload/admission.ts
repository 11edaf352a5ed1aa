import type { FastifyRequest } from 'fastify';
import { parseBearer } from '../../../domain/authorization.ts';
import { AudiowaveError, hasCode } from '../../../domain/errors.ts';
import type { Claims } from '../../../domain/user.ts';
import { admit, callerOf, tokenOf } from '../access.ts';
import type { Edge } from '../edge.ts';
import { checkJsonLength, readJsonBody } from '../json-body.ts';
import { checkImportUrl } from '../import/check-import-url.ts';
import { takeContentType } from '../unread-body.ts';
import { checkFreeSpace } from './free-space.ts';
import { isMultipart, MAX_OVERHEAD_BYTES } from './multipart.ts';

type BodyKind = 'multipart' | 'json' | 'other';

function kindOf(request: FastifyRequest): BodyKind {
  const type = request.bodyType;
  if (isMultipart(type)) return 'multipart';
  return /^application\/json\s*(?:;|$)/i.test(type ?? '') ? 'json' : 'other';
}

/** True where the request asks for a fetch by URL. */
export function asksForImport(request: FastifyRequest): boolean {
  return kindOf(request) === 'json';
}

/**
 * onRequest hook of both upload routes: everything that can be said before the body is read, in the contract's order:
 * token, admin claim, one file, storage. Only a JSON body on the drop-in route may carry its token itself.
 */
export function admitUpload(
  edge: Edge,
  options: { readonly tokenInBody: boolean },
): (request: FastifyRequest) => Promise<void> {
  const { deps, settings } = edge;
  return async (request) => {
    takeContentType(request);
    const kind = kindOf(request);
    const isTokenInBody = options.tokenInBody && kind === 'json' && headerToken(request) === undefined;
    if (!isTokenInBody) await admit(deps.auth, request, tokenOf(request));
    if (kind === 'json') checkJsonLength(request.raw);
    if (kind === 'other') throw new AudiowaveError('upload.not-one-file');
    if (kind === 'multipart') {
      const length = Number(request.headers['content-length'] ?? 0);
      if (length > settings.maxUploadBytes + MAX_OVERHEAD_BYTES) throw new AudiowaveError('upload.too-large');
      await checkFreeSpace(deps.videos, settings.minFreeDiskBytes, length);
    }
  };
}

function headerToken(request: FastifyRequest): string | undefined {
  return parseBearer(request.headers.authorization);
}

interface ImportFields {
  readonly url?: unknown;
  readonly access_token?: unknown;
}

/** Reads `{"url": …}` and says whose fetch it is. The token comes first: a body without one tells nothing else. */
export async function readImportRequest(
  edge: Edge,
  request: FastifyRequest,
): Promise<{ caller: Claims; url: URL }> {
  const body = await readBody(request);
  const fields: ImportFields = typeof body === 'object' && body !== null ? body : {};
  if (request.caller === null) {
    const token = fields.access_token;
    if (typeof token !== 'string' || token === '') throw new AudiowaveError('auth.missing-credentials');
    await admit(edge.deps.auth, request, token);
  }
  return { caller: callerOf(request), url: checkImportUrl(fields.url) };
}

async function readBody(request: FastifyRequest): Promise<unknown> {
  try {
    return await readJsonBody(request.raw);
  } catch (error) {
    // What is no JSON names neither a token nor a URL; which of the two is missed is said in the contract's order.
    if (hasCode(error, 'request.malformed')) return undefined;
    throw error;
  }
}
