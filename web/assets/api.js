/**
 * @typedef {'uploading' | 'fetching' | 'queued' | 'converting' | 'ready' | 'failed' | 'cancelled'} ConversionState
 *
 * @typedef {object} Conversion  what GET /api/v1/conversions/<id> answers (docs/api.md)
 * @property {string} id
 * @property {ConversionState} state
 * @property {string | null} name
 * @property {{ kind: 'upload' | 'url' | 'foreign', url?: string }} source
 * @property {number | null} videoBytes
 * @property {number | null} mp3Bytes
 * @property {number | null} durationMs
 * @property {number | null} progressPercent
 * @property {boolean} incomplete
 * @property {{ code: string, message: string } | null} failure
 * @property {'none' | 'due' | 'sent' | 'refused'} mail
 * @property {string} createdAt
 * @property {string | null} endedAt
 * @property {{ self: string, mp3: string | null }} links
 *
 * @typedef {{ items: Conversion[], nextCursor: string | null }} ConversionPage
 * @typedef {{ version: string, registration: 'open' | 'closed', outbox: boolean, maxUploadBytes: number }} Service
 * @typedef {{ name: string, to: string, subject: string, text: string, sentAt: string }} OutboxMail
 * @typedef {{ token: string, expiresAt: string }} Session
 */

/** An answer that is no success, or no answer at all (status 0). `message` is a sentence for the user. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

export const UNREACHABLE = 'Audiowave can’t be reached at the moment.';
const ANSWER_TIMEOUT_MS = 30_000;

/**
 * The error that an answer tells (application/problem+json, or anything a proxy puts in its place).
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter
 */
export function errorOf(status, body, retryAfter) {
  if (status === 0) return new ApiError(0, 'network', UNREACHABLE);
  /** @type {{ code?: unknown, detail?: unknown, title?: unknown }} */
  let problem = {};
  try {
    problem = Object(JSON.parse(body));
  } catch {
    // A proxy's page, or nothing: the status must do.
  }
  const code = typeof problem.code === 'string' ? problem.code : `http.${String(status)}`;
  const told = [problem.detail, problem.title].find((part) => typeof part === 'string' && part !== '');
  const message = typeof told === 'string' ? told : `The server answered with status ${String(status)}.`;
  const seconds = Number(retryAfter);
  const wait = retryAfter !== null && seconds > 0 ? ` Try again in ${String(seconds)} s.` : '';
  return new ApiError(status, code, message + wait);
}

/** Addresses are relative to the page, so that a proxy may put it under a path of its own. */
export const API = 'api/v1';

/** The calls of /api/v1 that the page makes. Every failed call rejects with an {@link ApiError}. */
export class Api {
  /** @type {string | null} */
  token = null;
  /**
   * Called when the server no longer takes the token.
   * @type {(error: ApiError) => void}
   */
  onRefused = () => {};

  /** @returns {Promise<Service>} */
  service() {
    return this.#json('GET', '/service');
  }

  /**
   * @param {string} email
   * @param {string} password
   * @returns {Promise<Session>}
   */
  logIn(email, password) {
    return this.#json('POST', '/sessions', { email, password });
  }

  /**
   * @param {string} email
   * @param {string} password
   * @returns {Promise<unknown>}
   */
  register(email, password) {
    return this.#json('POST', '/users', { email, password });
  }

  /** @returns {Promise<{ email: string }>} */
  me() {
    return this.#guarded('GET', '/users/me');
  }

  /**
   * @param {number} limit
   * @param {string | null} cursor
   * @param {AbortSignal} [signal]
   * @returns {Promise<ConversionPage>}
   */
  conversions(limit, cursor, signal) {
    const query = new URLSearchParams({ limit: String(limit) });
    if (cursor !== null) query.set('cursor', cursor);
    return this.#guarded('GET', `/conversions?${query.toString()}`, undefined, signal);
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Conversion>}
   */
  conversion(id, signal) {
    return this.#guarded('GET', `/conversions/${encodeURIComponent(id)}`, undefined, signal);
  }

  /**
   * @param {string} url
   * @returns {Promise<Conversion>}
   */
  fetchUrl(url) {
    return this.#guarded('POST', '/conversions', { url });
  }

  /** @param {string} id */
  async remove(id) {
    await this.#guarded('DELETE', `/conversions/${encodeURIComponent(id)}`);
  }

  /**
   * A link that needs no login, as a path of this very server: the address it is known by elsewhere is for mails.
   * @param {string} id
   * @returns {Promise<{ href: string, expiresAt: number }>}
   */
  async link(id) {
    /** @type {{ url: string, expiresAt: string }} */
    const link = await this.#guarded('POST', `/conversions/${encodeURIComponent(id)}/links`);
    const { pathname } = new URL(link.url, location.href);
    return { href: pathname.slice(pathname.lastIndexOf('/d/') + 1), expiresAt: Date.parse(link.expiresAt) };
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<{ items: OutboxMail[] }>}
   */
  outbox(signal) {
    return this.#guarded('GET', '/outbox', undefined, signal);
  }

  /**
   * Tells whoever holds the session when an answer means that the token is no longer good.
   * @param {unknown} error
   */
  notice(error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.onRefused(error);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {AbortSignal} [signal]
   */
  async #guarded(method, path, body, signal) {
    try {
      return await this.#json(method, path, body, signal);
    } catch (error) {
      this.notice(error);
      throw error;
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async #json(method, path, body, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json' };
    if (this.token !== null) headers['Authorization'] = `Bearer ${this.token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const deadline = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    let response;
    let text;
    try {
      response = await fetch(API + path, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      });
      text = await response.text();
    } catch {
      signal?.throwIfAborted();
      throw new ApiError(0, 'network', UNREACHABLE);
    }
    if (!response.ok) throw errorOf(response.status, text, response.headers.get('Retry-After'));
    return text === '' ? undefined : JSON.parse(text);
  }
}
