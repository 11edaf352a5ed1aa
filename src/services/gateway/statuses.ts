import type { ErrorCode } from '../../domain/errors.ts';

/** The HTTP status of each error code under the gateway's /api/v1, where nothing else knows; the type keeps it complete. */
const STATUSES: Readonly<Record<ErrorCode, number>> = {
  'request.malformed': 400,
  'request.not-found': 404,
  'request.method-not-allowed': 405,
  'request.too-large': 413,

  'auth.missing-credentials': 401,
  'auth.invalid-credentials': 401,
  'auth.invalid-token': 401,
  'auth.forbidden': 403,
  'auth.too-many-attempts': 429,
  'auth.busy': 503,
  'auth.registration-closed': 403,

  'user.exists': 409,
  'user.unknown': 404,
  'user.invalid-email': 422,
  'user.weak-password': 422,

  'upload.not-one-file': 400,
  'upload.malformed': 400,
  'upload.too-large': 413,
  'upload.interrupted': 400,
  'upload.stalled': 408,

  'import.url-required': 400,
  'import.url-not-allowed': 400,
  'import.failed': 502,
  'import.too-large': 413,
  'import.timed-out': 504,

  'file.unknown': 404,
  'file.exists': 409,
  'file.abandoned': 410,
  'file.range-not-satisfiable': 416,
  'store.full': 507,
  'store.unavailable': 503,

  'conversion.unknown': 404,
  'conversion.exists': 409,
  'conversion.illegal-move': 409,
  'conversion.not-ready': 409,
  'conversion.abandoned': 500,

  'broker.unavailable': 503,
  'broker.malformed-message': 500,

  'mail.malformed': 500,
  'mail.refused': 500,
  'mail.unavailable': 503,

  'audio.empty': 422,
  'audio.not-media': 422,
  'audio.no-sound': 422,
  'audio.damaged': 422,
  'audio.unsupported-option': 422,
  'audio.too-long': 422,
  'audio.encoder-missing': 503,
  'audio.encoder-failed': 503,
  'audio.cancelled': 409,

  'config.invalid': 500,
  'host.port-taken': 500,
  'internal.error': 500,
};

/** A status and a body as the family's clients know them. */
export interface PlainAnswer {
  readonly status: number;
  readonly text: string;
}

/** Where the drop-in contract, or its style, says something else than the status and its usual words. */
const PLAIN: Partial<Readonly<Record<ErrorCode, PlainAnswer>>> = {
  'request.method-not-allowed': { status: 405, text: 'method not allowed' },
  'request.too-large': { status: 413, text: 'request too large' },
  'auth.missing-credentials': { status: 401, text: 'missing credentials' },
  'auth.invalid-credentials': { status: 401, text: 'invalid credentials' },
  'auth.invalid-token': { status: 403, text: 'not authorized' },
  'auth.forbidden': { status: 401, text: 'not authorized' },
  'auth.too-many-attempts': { status: 429, text: 'too many requests' },
  'auth.busy': { status: 503, text: 'service unavailable' },
  'upload.not-one-file': { status: 400, text: 'exactly 1 file required' },
  'upload.malformed': { status: 400, text: 'malformed upload' },
  'upload.too-large': { status: 413, text: 'file too large' },
  'upload.interrupted': { status: 400, text: 'upload interrupted' },
  'upload.stalled': { status: 408, text: 'upload stalled' },
  'import.url-required': { status: 400, text: 'url is required' },
  'import.url-not-allowed': { status: 400, text: 'url not allowed' },
  'file.range-not-satisfiable': { status: 416, text: 'range not satisfiable' },
  'store.full': { status: 507, text: 'not enough disk space' },
  'audio.cancelled': { status: 409, text: 'upload was cancelled' },
};

const WORDS: Readonly<Record<number, string>> = { 400: 'bad request', 404: 'not found' };

/** The status of `code` under /api/v1. */
export function statusOf(code: ErrorCode): number {
  return STATUSES[code];
}

/** The answer of the drop-in routes: where a dependency is away, their contract is a plain 500. */
export function plainAnswerOf(code: ErrorCode): PlainAnswer {
  const own = PLAIN[code];
  if (own !== undefined) return own;
  const status = STATUSES[code];
  return status < 500
    ? { status, text: WORDS[status] ?? 'request refused' }
    : { status: 500, text: 'internal server error' };
}
