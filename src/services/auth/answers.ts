import type { FastifyReply } from 'fastify';
import { asAudiowaveError, ERRORS, type ErrorCode } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';

/** Plain text as the family answers it: without a trailing newline, and called HTML (drop-in contract). */
export function sendText(reply: FastifyReply, status: number, body: string): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(body);
}

/** A 401; RFC 9110, 15.5.2 wants the scheme named. */
export function sendUnauthorized(
  reply: FastifyReply,
  scheme: 'Basic' | 'Bearer',
  body: string,
): FastifyReply {
  return sendText(reply.header('www-authenticate', `${scheme} realm="audiowave"`), 401, body);
}

const ANSWERS: Partial<Record<ErrorCode, readonly [status: number, body: string]>> = {
  'auth.missing-credentials': [401, 'missing credentials'],
  'auth.invalid-credentials': [401, 'invalid credentials'],
  'auth.invalid-token': [403, 'not authorized'],
  'auth.too-many-attempts': [429, 'too many requests'],
  'auth.busy': [503, 'service unavailable'],
};

/** The contract's answer to an error; what it does not name is 500 `internal server error`. */
export function sendError(reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const { code, message, detail, retryAfterSeconds } = asAudiowaveError(error);
  const [status, body] = ANSWERS[code] ?? [500, 'internal server error'];
  if (status >= 500)
    log.error({ code, detail: detail ?? message, requestId: reply.request.id }, 'auth failed');
  if (retryAfterSeconds !== undefined) void reply.header('retry-after', String(retryAfterSeconds));
  return status === 401 ? sendUnauthorized(reply, 'Basic', body) : sendText(reply, status, body);
}

const PROBLEM_STATUSES: Partial<Record<ErrorCode, number>> = {
  'request.malformed': 400,
  'request.too-large': 413,
  'auth.registration-closed': 403,
  'auth.too-many-attempts': 429,
  'auth.busy': 503,
  'user.exists': 409,
  'user.invalid-email': 422,
  'user.weak-password': 422,
  'store.unavailable': 503,
  'store.full': 507,
};

/** An error as a problem (RFC 9457), of the same form as the gateway's under /api/v1. */
export function sendProblem(reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const failure = asAudiowaveError(error);
  const { code, message, detail, retryable, retryAfterSeconds } = failure;
  const status = PROBLEM_STATUSES[code] ?? 500;
  const requestId = reply.request.id;
  if (status >= 500) log.error({ code, detail: detail ?? message, requestId }, 'auth failed');
  if (retryAfterSeconds !== undefined) void reply.header('retry-after', String(retryAfterSeconds));
  const problem = {
    type: `urn:audiowave:error:${code}`,
    title: ERRORS[code].meaning,
    status,
    detail: message,
    code,
    retryable,
    requestId,
  };
  // As bytes: to a string Fastify adds a charset, which this media type does not have (RFC 9457, 6.1).
  return reply
    .code(status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)));
}
