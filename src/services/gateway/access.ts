import type { FastifyRequest } from 'fastify';
import { parseBearer } from '../../domain/authorization.ts';
import { asAudiowaveError, AudiowaveError } from '../../domain/errors.ts';
import type { Claims } from '../../domain/user.ts';
import type { AuthApi } from '../../ports/auth-api.ts';

/** How long auth may take to answer. */
const AUTH_DEADLINE_MS = 10_000;

/** Runs a question to auth; where it does not answer in time, that is `store.unavailable`. */
export async function askAuth<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await ask(AbortSignal.timeout(AUTH_DEADLINE_MS));
  } catch (error) {
    throw asAudiowaveError(error, 'store.unavailable');
  }
}

/** The token of the Authorization header; `auth.missing-credentials` where there is none. */
export function tokenOf(request: FastifyRequest): string {
  const token = parseBearer(request.headers.authorization);
  if (token === undefined) throw new AudiowaveError('auth.missing-credentials');
  return token;
}

/** First the token, then the `admin` claim, which means "may use the service" (drop-in contract, order of checks). */
export async function admit(auth: AuthApi, request: FastifyRequest, token: string): Promise<Claims> {
  const claims = await askAuth((signal) => auth.validate(token, signal));
  request.caller = claims;
  if (!claims.admin) throw new AudiowaveError('auth.forbidden');
  return claims;
}

/** onRequest hook of the routes that need a token. The body stays unread until it is found good. */
export function requireToken(auth: AuthApi): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    await admit(auth, request, tokenOf(request));
  };
}

/** The caller of a route behind {@link requireToken}. */
export function callerOf(request: FastifyRequest): Claims {
  if (request.caller === null) throw new AudiowaveError('auth.missing-credentials');
  return request.caller;
}
