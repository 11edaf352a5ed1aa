import { setTimeout as delay } from 'node:timers/promises';
import { errors, Pool } from 'undici';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';

/** One question to an auth server. */
export interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The longest that the whole exchange may last. */
  readonly deadlineMs: number;
  /** Whether it may be asked again where the answer was lost. */
  readonly isRepeatable: boolean;
}

/** What an auth server answered, whole. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfterSeconds: number | undefined;
}

const CONNECTIONS = 32;
const CONNECT_DEADLINE_MS = 3_000;
/** Shorter than servers keep idle connections, so that we never write into one that is being closed. */
const KEEP_ALIVE_MS = 4_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const CLOSE_DEADLINE_MS = 2_000;

/**
 * The connections to one auth server, which need not be there yet. Says once in the log that it went away, and that it
 * came back.
 */
export class AuthServer {
  /** For people: `http://auth:5000`. */
  readonly place: string;
  readonly #prefix: string;
  readonly #pool: Pool;
  readonly #log: Logger;
  #isAway = false;
  #isClosed = false;

  /** `config.invalid` where `text` is no http(s) URL, or carries credentials or a query. */
  constructor(text: string, log: Logger) {
    const url = parseUrl(text);
    this.place = url.href.replace(/\/$/, '');
    this.#prefix = url.pathname.replace(/\/$/, '');
    this.#log = log;
    this.#pool = new Pool(url.origin, {
      connections: CONNECTIONS,
      connect: { timeout: CONNECT_DEADLINE_MS },
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  /** Whatever status it answers with. `store.unavailable` where it does not answer; the reason of `signal` where that aborts. */
  async ask(question: Question, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    try {
      const deadline = AbortSignal.timeout(question.deadlineMs);
      return await this.#askTwice(
        question,
        signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      );
    } catch (error) {
      signal?.throwIfAborted();
      throw this.unavailable(reasonOf(error), error);
    }
  }

  /** The error for an auth that is of no use; says so once in the log, until it is again. */
  unavailable(reason: string, cause?: unknown): AudiowaveError {
    const detail = `auth: ${reason} (${this.place})`;
    if (!this.#isAway && !this.#isClosed) {
      this.#isAway = true;
      this.#log.warn({ code: 'store.unavailable', detail }, 'auth does not answer');
    }
    return new AudiowaveError('store.unavailable', undefined, { cause, detail });
  }

  /** Told of each answer that was of use. */
  isOfUse(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#log.info({ server: this.place }, 'auth answers again');
  }

  /** Ends what runs, within 2 s. Harmless twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const over = new AbortController();
    await Promise.race([
      this.#pool.close(),
      delay(CLOSE_DEADLINE_MS, undefined, { signal: over.signal }).catch(() => undefined),
    ]);
    over.abort();
    await this.#pool.destroy();
  }

  async #askTwice(question: Question, signal: AbortSignal): Promise<Answer> {
    try {
      return await this.#askOnce(question, signal);
    } catch (error) {
      // A server that restarts cuts connections that we hold for good; a new one tells whether it is there.
      if (!question.isRepeatable || signal.aborted || !isCut(error)) throw error;
      return await this.#askOnce(question, signal);
    }
  }

  async #askOnce({ method, path, headers, body }: Question, signal: AbortSignal): Promise<Answer> {
    const response = await this.#pool.request({
      method,
      path: `${this.#prefix}${path}`,
      headers: { accept: '*/*', ...headers },
      ...(body === undefined ? {} : { body }),
      signal,
    });
    return {
      status: response.statusCode,
      text: await response.body.text(),
      retryAfterSeconds: secondsOf(response.headers['retry-after']),
    };
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new AudiowaveError('config.invalid', 'The URL of auth is not of the form http://auth:5000.');
  }
  if (`${url.username}${url.password}${url.search}${url.hash}` !== '') {
    throw new AudiowaveError(
      'config.invalid',
      'The URL of auth has more than scheme, host, port and path; write http://auth:5000.',
    );
  }
  return url;
}

function isCut(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  const { code } = error as { code?: string };
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** Of the form in seconds only (RFC 9110, 10.2.3): the family's servers send no dates. */
function secondsOf(header: string | string[] | undefined): number | undefined {
  const text = typeof header === 'string' ? header.trim() : '';
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  return error.message === '' ? String((error as { code?: string }).code) : error.message;
}
