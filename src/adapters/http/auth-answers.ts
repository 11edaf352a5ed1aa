import { AudiowaveError, ERRORS, type ErrorCode } from '../../domain/errors.ts';
import type { Claims, User, UserRole } from '../../domain/user.ts';
import type { Answer } from './auth-server.ts';

// What the answers of an auth server mean (drop-in contract, "Auth"), whoever wrote it: statuses decide, bodies are read
// where they carry something. Undefined: nothing that the contract knows, so this auth is of no use.

/** Three parts of base64url (RFC 7515, 3.1); what is none is refused without asking. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

export function isTokenShaped(token: string): boolean {
  return JWT.test(token);
}

/** The token of a login's answer: bare, or as `{"token": …}`, which some descendants answer to everybody. */
export function readToken({ text }: Answer): string | undefined {
  const body = text.trim();
  const parsed = parseJson(body);
  const token = typeof parsed === 'string' ? parsed : isRecord(parsed) ? parsed.token : body;
  return typeof token === 'string' && isTokenShaped(token) ? token : undefined;
}

export function loginFailure({ status, retryAfterSeconds }: Answer): AudiowaveError | undefined {
  // 400 and 431: what others make of credentials that are odd or very long.
  if ([400, 401, 403, 422, 431].includes(status)) return new AudiowaveError('auth.invalid-credentials');
  return refusalForNow(status, retryAfterSeconds);
}

/** The claims of a validation's answer. */
export function readClaims({ text }: Answer): Claims | undefined {
  const parsed = parseJson(text);
  if (!isRecord(parsed)) return undefined;
  const { username, admin = false, exp, iat = 0, role } = parsed;
  if (typeof username !== 'string' || username === '' || typeof admin !== 'boolean') return undefined;
  if (typeof exp !== 'number' || typeof iat !== 'number') return undefined;
  return { username, admin, exp, iat, ...(isUserRole(role) ? { role } : {}) };
}

export function validationFailure({ status, retryAfterSeconds }: Answer): AudiowaveError | undefined {
  if ([400, 401, 403, 422, 431].includes(status)) return new AudiowaveError('auth.invalid-token');
  return refusalForNow(status, retryAfterSeconds);
}

/** The account of a registration's answer (docs/api.md, "Auth alone"). */
export function readAccount({ text }: Answer): Pick<User, 'id' | 'email' | 'role' | 'createdAt'> | undefined {
  const parsed = parseJson(text);
  if (!isRecord(parsed)) return undefined;
  const { id, email, role, createdAt } = parsed;
  if (typeof id !== 'string' || typeof email !== 'string' || !isUserRole(role)) return undefined;
  const time = typeof createdAt === 'string' ? Date.parse(createdAt) : NaN;
  return Number.isNaN(time) ? undefined : { id, email, role, createdAt: time };
}

const REGISTRATION_CODES: readonly ErrorCode[] = [
  'auth.registration-closed',
  'auth.too-many-attempts',
  'auth.busy',
  'user.exists',
  'user.invalid-email',
  'user.weak-password',
];
const LONGEST_MESSAGE = 300;

export function registrationFailure(answer: Answer): AudiowaveError | undefined {
  const { status, text, retryAfterSeconds } = answer;
  const problem = parseJson(text);
  const code = isRecord(problem) ? REGISTRATION_CODES.find((known) => known === problem.code) : undefined;
  if (code !== undefined) {
    const detail = (problem as Record<string, unknown>).detail;
    const message = typeof detail === 'string' ? detail.slice(0, LONGEST_MESSAGE) : ERRORS[code].meaning;
    return new AudiowaveError(code, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
  }
  // The auth of another implementation: it has no such route, or one of its own that is not for us.
  if (status >= 400 && status < 500 && status !== 429) return new AudiowaveError('auth.registration-closed');
  return refusalForNow(status, retryAfterSeconds);
}

function refusalForNow(status: number, retryAfterSeconds = 1): AudiowaveError | undefined {
  if (status === 429) return new AudiowaveError('auth.too-many-attempts', undefined, { retryAfterSeconds });
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isUserRole(role: unknown): role is UserRole {
  return role === 'user' || role === 'admin';
}
