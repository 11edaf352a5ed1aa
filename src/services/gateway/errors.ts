import type { FastifyReply, FastifyRequest } from 'fastify';
import { AudiowaveError, asAudiowaveError, ERRORS } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';
import { plainAnswerOf, statusOf } from './statuses.ts';

/** What a problem says of one field (RFC 9457, 3.2). */
interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/** A request whose fields are not of the form their schema says. */
class MalformedFields extends AudiowaveError {
  readonly fields: readonly FieldProblem[];

  constructor(fields: readonly FieldProblem[]) {
    const first = fields[0];
    const named = first === undefined ? undefined : `${first.path || 'The request'}: ${first.message}.`;
    super('request.malformed', named);
    this.fields = fields;
  }
}

/** An error whose status under /api/v1 is not the usual one of its code. */
export class ErrorWithStatus extends AudiowaveError {
  readonly status: number;

  constructor(error: AudiowaveError, status: number) {
    super(error.code, error.message);
    this.status = status;
  }
}

interface FrameworkError {
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly validation?: readonly { readonly instancePath: string; readonly message?: string }[];
  readonly validationContext?: string;
}

/** Fastify's own errors in our words; its answers are not of our contract's form. */
function inOurWords(error: unknown): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  const { code, statusCode, validation, validationContext } = (error ?? {}) as FrameworkError;
  if (validation !== undefined) {
    return new MalformedFields(
      validation.map((entry) => ({
        path: `/${validationContext ?? 'body'}${entry.instancePath}`,
        message: entry.message ?? 'is not valid',
      })),
    );
  }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new AudiowaveError('request.too-large');
  if (
    typeof code === 'string' &&
    code.startsWith('FST_') &&
    typeof statusCode === 'number' &&
    statusCode < 500
  ) {
    return new AudiowaveError('request.malformed');
  }
  return asAudiowaveError(error);
}

/** True where errors are problem+json. */
function isApiPath(url: string | undefined): boolean {
  return /^\/api(?:[/?]|$)/.test(url ?? '');
}

/** Answers with an error in the form of the path: problem+json under /api, plain text elsewhere. */
export function answerWithError(error: AudiowaveError, request: FastifyRequest, reply: FastifyReply): void {
  if (isApiPath(request.raw.url)) answerWithProblem(error, request, reply);
  else answerWithText(error, request, reply);
}

function answerWithText(error: AudiowaveError, request: FastifyRequest, reply: FastifyReply): void {
  const { status, text } = plainAnswerOf(error.code);
  if (status === 401) {
    const basic = request.routeOptions.url === '/login';
    reply.header('www-authenticate', basic ? 'Basic realm="audiowave"' : 'Bearer realm="audiowave"');
  }
  addRetryAfter(error, status, reply);
  void reply.code(status).type('text/html; charset=utf-8').send(text);
}

function answerWithProblem(error: AudiowaveError, request: FastifyRequest, reply: FastifyReply): void {
  const status = error instanceof ErrorWithStatus ? error.status : statusOf(error.code);
  if (status === 401) {
    const challenge = error.code === 'auth.invalid-token' ? 'Bearer error="invalid_token"' : 'Bearer';
    reply.header('www-authenticate', challenge);
  }
  addRetryAfter(error, status, reply);
  const problem = {
    type: `urn:audiowave:error:${error.code}`,
    title: ERRORS[error.code].meaning,
    status,
    detail: error.message,
    code: error.code,
    retryable: error.retryable,
    requestId: request.id,
    ...(error instanceof MalformedFields ? { errors: error.fields } : {}),
  };
  // As bytes: to a string Fastify adds a charset, which this media type does not have (RFC 9457, 6.1).
  const body = Buffer.from(JSON.stringify(problem));
  void reply.code(status).type('application/problem+json').send(body);
}

const RETRY_AFTER_SECONDS = 5;

function addRetryAfter(error: AudiowaveError, status: number, reply: FastifyReply): void {
  const seconds =
    error.retryAfterSeconds ?? (status === 503 || status === 429 ? RETRY_AFTER_SECONDS : undefined);
  if (seconds !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(seconds))));
}

/** The one error handler of the application. What is our own fault goes to the log with its cause. */
export function errorHandler(
  log: Logger,
): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (raised, request, reply) => {
    const error = inOurWords(raised);
    if (statusOf(error.code) >= 500) {
      log.error({ err: error, detail: error.detail, requestId: request.id }, 'request failed');
    }
    answerWithError(error, request, reply);
  };
}
