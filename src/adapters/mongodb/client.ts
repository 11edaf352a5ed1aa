import { ReadConcern, type Db, type DbOptions, type MongoClient, type MongoClientOptions } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';
import { DeadlinePassed, storeError, troubleOf, type MongoPlace } from './mongo-errors.ts';
import { readMongoUrl } from './mongo-url.ts';

/** No call takes longer; a server that comes back within this time has not been missed. */
export const CALL_DEADLINE_MS = 5_000;

/** A check answers before those who ask lose their patience (probes wait 2 s); a busy server needs milliseconds. */
const CHECK_DEADLINE_MS = 1_700;

/** How long close() waits for the driver. */
const CLOSE_DEADLINE_MS = 2_000;

/** Credentials that were refused are not shown again for this long, plus up to as much again. */
const REFUSED_PAUSE_MS = 7_500;

/**
 * These win over the URL's: they are what the stores promise. A write is on the disks of a majority when it is
 * acknowledged, and only what is there is read; for a standalone server that is its own disk.
 */
const PROMISED = {
  writeConcern: { w: 'majority', journal: true },
  readConcern: new ReadConcern('majority'),
  readPreference: 'primary',
} satisfies DbOptions & MongoClientOptions;

const OPTIONS: MongoClientOptions = {
  ...PROMISED,
  appName: 'audiowave',
  serverSelectionTimeoutMS: 3_000,
  connectTimeoutMS: 3_000,
  waitQueueTimeoutMS: CALL_DEADLINE_MS,
  // Of a connection without a byte: ends what a call has given up.
  socketTimeoutMS: 2 * CALL_DEADLINE_MS,
  maxIdleTimeMS: 120_000,
  ignoreUndefined: true,
};

/** One client for all databases of a server that this process names. */
interface SharedClient {
  readonly client: MongoClient;
  users: number;
  away: boolean;
  /** Why the driver reaches none of the server's members; undefined where it does. */
  failure: Error | undefined;
}

const CLIENTS = new Map<string, SharedClient>();

export interface MongoDatabaseOptions {
  readonly log: Logger;
  /** The database where the URL names none. */
  readonly database: string;
}

/**
 * One database of a MongoDB server. It connects with the first call, and again with any later one, for as long as it is
 * open; a server that is away is no reason for open() to fail.
 */
export class MongoDatabase {
  readonly #shared: SharedClient;
  readonly #server: string;
  readonly #place: MongoPlace;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** What was said when the credentials were refused, and until when that stands without asking again. */
  #refusal: { readonly error: unknown; readonly until: number } | undefined;
  /** For operations inside of {@link MongoDatabase.answer}. */
  readonly db: Db;

  /** Throws `config.invalid` for a URL that the driver can't read; never because its server is away. */
  static open(url: string, options: MongoDatabaseOptions): MongoDatabase {
    return new MongoDatabase(url, options);
  }

  private constructor(url: string, { log, database }: MongoDatabaseOptions) {
    const target = readMongoUrl(url, database, OPTIONS);
    this.#server = target.server;
    this.#place = target.place;
    this.#log = log;
    this.#shared = CLIENTS.get(target.server) ?? shared(target.client);
    this.#shared.users += 1;
    CLIENTS.set(target.server, this.#shared);
    // Once more: the driver mixes the options of the client with those of the URL.
    this.db = this.#shared.client.db(target.database, PROMISED);
  }

  /** `mongodb://host:port/database`, without credentials, for messages and logs. */
  get shown(): string {
    return this.#place.shown;
  }

  /**
   * The result of `work`, tried once, within `deadlineMs`. Fails with `store.unavailable` or `store.full` where the
   * server or the driver does; errors of `work` itself stay what they are. After a failure nobody knows whether a write
   * was done.
   */
  async answer<T>(work: () => Promise<T>, deadlineMs = CALL_DEADLINE_MS): Promise<T> {
    try {
      return await this.#attempt(work, deadlineMs);
    } catch (error) {
      throw this.#note(error);
    }
  }

  /**
   * As answer(), but bridges an absence of the server: `work` is tried again while the server is away and the deadline
   * has not passed, so it must be harmless to repeat, also where its answer got lost. It is told when the call ends
   * (milliseconds since the epoch), after which nobody waits for it.
   */
  async bridge<T>(work: (end: number) => Promise<T>): Promise<T> {
    const end = Date.now() + CALL_DEADLINE_MS;
    let first: unknown;
    for (;;) {
      try {
        return await this.#attempt(() => work(end), end - Date.now());
      } catch (error) {
        if (troubleOf(error) !== 'away' || this.#closing.signal.aborted) throw this.#note(error);
        // The first failure has the reason; the last one often only says that the time was over.
        first ??= error;
        const left = end - Date.now();
        if (left < 100) throw this.#note(first);
        await delay(20 + Math.random() * Math.min(left / 4, 200));
      }
    }
  }

  async #attempt<T>(work: () => Promise<T>, deadlineMs: number): Promise<T> {
    // A login costs the server work, and a wrong password stays wrong for a while.
    if (this.#refusal !== undefined && this.#refusal.until > Date.now()) throw this.#refusal.error;
    const end = performance.now() + deadlineMs;
    const result = await this.#within(deadlineMs, async () => {
      // A client whose first connection failed does not connect again by itself.
      await this.#shared.client.connect();
      // The caller has been told already that the server is away: nothing may be written for it any more.
      if (performance.now() >= end) throw new DeadlinePassed(deadlineMs);
      return work();
    });
    this.#noteWell();
    return result;
  }

  /** Resolves where the server answers and takes our credentials; `store.unavailable` with the reason otherwise. */
  async check(): Promise<void> {
    await this.checkBy(() => this.db.command({ ping: 1 }));
  }

  /** As check(), by an operation of the caller's, which must change nothing. Within 2 s, whatever the server does. */
  async checkBy(work: () => Promise<unknown>): Promise<void> {
    await this.answer(work, CHECK_DEADLINE_MS);
  }

  /** Calls under way fail. Bounded; harmless twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#shared.users -= 1;
    if (this.#shared.users > 0) return;
    CLIENTS.delete(this.#server);
    const closed = this.#shared.client.close().catch(() => undefined);
    const cancel = new AbortController();
    await Promise.race([closed, delay(CLOSE_DEADLINE_MS, undefined, cancel).catch(() => undefined)]);
    cancel.abort();
  }

  /** The work itself goes on after the deadline, until the driver's own ends it. */
  async #within<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const { signal } = this.#closing;
    if (signal.aborted) throw this.#closedError();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const onClose = (): void => {
      reject(this.#closedError());
    };
    const timer = setTimeout(() => {
      reject(new DeadlinePassed(ms));
    }, ms);
    signal.addEventListener('abort', onClose);
    try {
      return await Promise.race([work(), late]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onClose);
    }
  }

  #closedError(): AudiowaveError {
    return new AudiowaveError('store.unavailable', undefined, { detail: `closed, at ${this.shown}` });
  }

  #noteWell(): void {
    const { away } = this.#shared;
    if (away || this.#refusal !== undefined) this.#log.info({ server: this.shown }, 'MongoDB answers again.');
    this.#shared.away = false;
    this.#refusal = undefined;
  }

  /** `error` as the port's. One line is logged each time the server goes away or refuses us, not for each call. */
  #note(thrown: unknown): unknown {
    // That the time is over is no reason where the driver knows one.
    const error = thrown instanceof DeadlinePassed ? (this.#shared.failure ?? thrown) : thrown;
    const trouble = troubleOf(error);
    const told = storeError(error, this.#place);
    if (trouble === 'refused') {
      if (this.#refusal === undefined) this.#warn('MongoDB refuses our credentials.', told);
      this.#refusal = { error: told, until: Date.now() + REFUSED_PAUSE_MS * (1 + Math.random()) };
    } else if (trouble === 'away' && !this.#shared.away) {
      this.#shared.away = true;
      this.#warn('MongoDB does not answer.', told);
    }
    return told;
  }

  #warn(message: string, error: unknown): void {
    const reason = error instanceof AudiowaveError ? error.detail : String(error);
    this.#log.warn({ server: this.shown, reason }, message);
  }
}

function shared(client: MongoClient): SharedClient {
  const made: SharedClient = { client, users: 0, away: false, failure: undefined };
  client.on('topologyDescriptionChanged', ({ newDescription: { servers } }) => {
    const errors = [...servers.values()].flatMap(({ error }) => error ?? []);
    made.failure = errors.length === servers.size ? errors[0] : undefined;
  });
  return made;
}
