import { setTimeout as delay } from 'node:timers/promises';
import { createPool, type Pool, type PoolOptions } from 'mysql2';
import type { PoolConnection } from 'mysql2/promise';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';
import { storeError, troubleOf } from './server-errors.ts';
import type { ServerAddress } from './server-url.ts';

/**
 * One piece of work on one connection. `isRepeat` is true where it may have been done before, by a try whose answer
 * was lost.
 */
export type Work<T> = (connection: PoolConnection, isRepeat: boolean) => Promise<T>;

export interface ClientOptions {
  readonly address: ServerAddress;
  readonly log: Logger;
  /** Makes the database fit; done once, before any work. Must be harmless when it is done again or by several. */
  readonly prepare: (connection: PoolConnection) => Promise<void>;
  /**
   * A server that refused us (wrong password, unknown database) is asked no sooner again: many tries would have the
   * account locked or the host blocked. 10 s by default.
   */
  readonly refusalHoldsMs?: number;
}

const CONNECTIONS = 8;
/** The longest that one call takes, whatever the server does. */
const CALL_DEADLINE_MS = 4_500;
const CONNECT_DEADLINE_MS = 4_000;
/** Rebuilding a table of a million accounts takes about a minute. */
const PREPARE_DEADLINE_MS = 600_000;
const TRIES = 3;
const REFUSAL_HOLDS_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
const CLOSE_DEADLINE_MS = 2_000;
const CLOSED = 'The user database was closed.';

/**
 * A pool of connections to one server that need not be there yet. It is prepared as soon as it answers, tried for
 * ever. A call that meets a dead connection is repeated on a new one; each call ends within about 5 s with
 * `store.unavailable` where the server does not answer. What changes is logged once, not at each try.
 */
export class MySqlClient {
  readonly #place: string;
  readonly #log: Logger;
  readonly #prepare: ClientOptions['prepare'];
  readonly #refusalHoldsMs: number;
  readonly #pool: Pool;
  readonly #connections = new Set<Destroyable>();
  readonly #idle = new Set<Destroyable>();
  /** No call begins any more. */
  readonly #closing = new AbortController();
  /** No call goes on any more. */
  readonly #closed = new AbortController();
  readonly #background: Promise<void>;
  #preparing: Promise<void> | undefined;
  #ending: Promise<void> | undefined;
  #isPrepared = false;
  #refusal: { readonly error: AudiowaveError; readonly until: number } | undefined;
  #trouble: string | undefined;

  constructor({ address, log, prepare, refusalHoldsMs = REFUSAL_HOLDS_MS }: ClientOptions) {
    this.#place = address.place;
    this.#log = log;
    this.#prepare = prepare;
    this.#refusalHoldsMs = refusalHoldsMs;
    this.#pool = createPool(poolOptions(address));
    this.#watchConnections();
    this.#background = this.#prepareForEver();
  }

  /** What `work` resolves to. Fails with its AudiowaveErrors as they are, anything else as `store.unavailable` or `store.full`. */
  async run<T>(work: Work<T>): Promise<T> {
    const deadline = Date.now() + CALL_DEADLINE_MS;
    await this.#within(deadline, this.#prepared());
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#once(deadline, (connection) => work(connection, tries > 1));
      } catch (error) {
        const trouble = error instanceof AudiowaveError ? 'other' : troubleOf(error);
        if (tries < TRIES && (trouble === 'lost' || trouble === 'undone')) continue;
        throw storeError(error, this.#place);
      }
    }
  }

  /** Lets go of every connection, within 2 s. Harmless twice. */
  close(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#closing.abort();
    const late = new AbortController();
    await Promise.race([
      Promise.all([this.#pool.promise().end(), this.#background]).catch(() => undefined),
      delay(CLOSE_DEADLINE_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    // pool.end() says goodbye, behind whatever a server that hangs still owes an answer to.
    for (const connection of this.#connections) connection.destroy();
    this.#closed.abort(new AudiowaveError('store.unavailable', CLOSED));
  }

  async #once<T>(deadline: number, work: (connection: PoolConnection) => Promise<T>): Promise<T> {
    this.#refuseWhereUseless();
    let connection: PoolConnection | undefined;
    let isOver = false;
    const answer = this.#pool
      .promise()
      .getConnection()
      .then(async (acquired) => {
        if (isOver) {
          // Its caller has been told that it failed, so nothing may be done for it any more.
          acquired.release();
          throw new AudiowaveError('store.unavailable');
        }
        connection = acquired;
        return await work(acquired);
      });
    try {
      const result = await this.#within(deadline, answer);
      connection?.release();
      this.#there();
      return result;
    } catch (error) {
      this.#settle(connection, error);
      throw error;
    } finally {
      isOver = true;
    }
  }

  /** Keeps a connection whose server answered, if only with an error; drops it, and those beside it, where it is dead. */
  #settle(connection: PoolConnection | undefined, error: unknown): void {
    if (connection !== undefined && isAnswer(error)) {
      connection.release();
      return;
    }
    connection?.destroy();
    // What killed this one has most likely killed those that wait: the next try shall not find out one by one.
    for (const idle of this.#idle) idle.destroy();
    this.#away(error);
  }

  #refuseWhereUseless(): void {
    if (this.#closing.signal.aborted) {
      throw new AudiowaveError('store.unavailable', CLOSED);
    }
    if (this.#refusal !== undefined && Date.now() < this.#refusal.until) throw this.#refusal.error;
  }

  #prepared(): Promise<void> {
    if (this.#isPrepared) return Promise.resolve();
    this.#preparing ??= this.#prepareOnce().finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  async #prepareOnce(): Promise<void> {
    try {
      await this.#once(Date.now() + PREPARE_DEADLINE_MS, this.#prepare);
      this.#isPrepared = true;
    } catch (error) {
      const failure = storeError(error, this.#place);
      if (this.#trouble === undefined && !this.#closing.signal.aborted) this.#changed(failure);
      throw failure;
    }
  }

  async #prepareForEver(): Promise<void> {
    const { signal } = this.#closing;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        await this.#prepared();
        return;
      } catch {
        // Logged where it was found. With jitter, so that processes that lost one server do not come back as one.
        await delay(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** `work`, or `store.unavailable` where it lasts beyond the deadline. The work itself goes on unheard. */
  async #within<T>(deadline: number, work: Promise<T>): Promise<T> {
    const { signal: closed } = this.#closed;
    const { promise: end, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => {
        const detail = `no answer in time (${this.#place})`;
        reject(new AudiowaveError('store.unavailable', undefined, { detail }));
      },
      Math.max(0, deadline - Date.now()),
    );
    const onClosed = (): void => {
      reject(closed.reason as Error);
    };
    closed.addEventListener('abort', onClosed, { once: true });
    work.catch(() => undefined);
    try {
      return await Promise.race([work, end]);
    } finally {
      clearTimeout(timer);
      closed.removeEventListener('abort', onClosed);
    }
  }

  #there(): void {
    this.#refusal = undefined;
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#log.info({ server: this.#place }, 'user database answers again');
  }

  #away(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const failure = storeError(error, this.#place);
    if (!(error instanceof AudiowaveError) && troubleOf(error) === 'refused') {
      this.#refusal = { error: failure, until: Date.now() + this.#refusalHoldsMs };
    }
    this.#changed(failure);
  }

  /** One line for what has changed: another kind of trouble is news, another try is none. */
  #changed(failure: AudiowaveError): void {
    const isRefused = this.#refusal?.error === failure;
    const trouble = isRefused ? 'refused' : 'away';
    if (this.#trouble === trouble) return;
    this.#trouble = trouble;
    this.#log[isRefused ? 'error' : 'warn'](
      { code: failure.code, detail: failure.detail },
      isRefused
        ? 'user database refuses us; trying again slowly'
        : 'user database cannot be used; trying again',
    );
  }

  #watchConnections(): void {
    // A connection tells of its death by an error event, which would end the process if nobody listened.
    this.#pool.on('connection', (connection) => {
      this.#connections.add(connection);
      const forget = (): void => {
        this.#connections.delete(connection);
        this.#idle.delete(connection);
      };
      connection.on('error', forget).on('end', forget);
      // Strict, so that nothing is cut off to fit; and no statement waits for a lock longer than its caller for it.
      connection.query(
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 4, lock_wait_timeout = 4",
        () => undefined,
      );
    });
    this.#pool.on('acquire', (connection) => this.#idle.delete(connection));
    this.#pool.on('release', (connection) => this.#idle.add(connection));
  }
}

interface Destroyable {
  destroy(): void;
}

function poolOptions(address: ServerAddress): PoolOptions {
  const { host, port, user, password, database, tls, ca } = address;
  return {
    ...{ host, port, user, password, database },
    charset: 'utf8mb4',
    connectionLimit: CONNECTIONS,
    maxIdle: 2,
    idleTimeout: 60_000,
    connectTimeout: CONNECT_DEADLINE_MS,
    enableKeepAlive: true,
    supportBigNumbers: true,
    ...(tls === 'off'
      ? {}
      : {
          ssl: {
            rejectUnauthorized: tls === 'on',
            verifyIdentity: tls === 'on',
            ...(ca === undefined ? {} : { ca }),
          },
        }),
  };
}

/** The reason of an error as its message, for readiness. */
export function explained(error: unknown, place: string): AudiowaveError {
  const failure = storeError(error, place);
  return failure.detail === undefined
    ? failure
    : new AudiowaveError(failure.code, failure.detail, { cause: failure });
}

/** Whether the server has said this itself, over a connection that is good for more. */
function isAnswer(error: unknown): boolean {
  if (error instanceof AudiowaveError) return error.code !== 'store.unavailable';
  const trouble = troubleOf(error);
  return 'sqlState' in (error as object) && trouble !== 'lost' && trouble !== 'refused';
}
