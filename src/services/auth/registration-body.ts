import type { IncomingMessage } from 'node:http';
import { AudiowaveError } from '../../domain/errors.ts';

const MAX_BYTES = 16 * 1024;

/**
 * The JSON of a body whose length the request tells, which HTTP itself then keeps it to: `request.too-large` above
 * 16 KiB, `request.malformed` where it is chunked, breaks off, or is no JSON.
 */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const length = Number(request.headers['content-length'] ?? NaN);
  if (Number.isNaN(length)) throw malformed('The body must be JSON, with its length in Content-Length.');
  if (length > MAX_BYTES) throw new AudiowaveError('request.too-large');
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))) as unknown;
  } catch (error) {
    throw malformed('The body is not JSON.', error);
  }
}

/** The two fields of a registration; `request.malformed` names the one that is missing. */
export function readCredentials(body: unknown): { email: string; password: string } {
  const { email, password } = (body ?? {}) as { email?: unknown; password?: unknown };
  if (typeof email !== 'string') throw malformed('The field email must be a string.');
  if (typeof password !== 'string') throw malformed('The field password must be a string.');
  return { email, password };
}

function malformed(message: string, cause?: unknown): AudiowaveError {
  return new AudiowaveError('request.malformed', message, { cause });
}
