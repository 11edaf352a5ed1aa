import { randomUUID } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { asAudiowaveError, AudiowaveError } from '../../domain/errors.ts';
import type { MessageBody } from '../../domain/messages.ts';
import type {
  Broker,
  ConsumeOptions,
  Consumer,
  DeadLetter,
  Handler,
  QueueDepth,
} from '../../ports/broker.ts';
import { HANDED_BACK } from '../../ports/broker-outcome.ts';
import { fileBackoffMs, QueueConsumer } from './broker-consumer.ts';
import { BrokerMessages } from './broker-messages.ts';
import { BrokerOwners } from './broker-owners.ts';
import { BROKER_MIGRATIONS } from './broker-schema.ts';
import { openDatabase } from './database.ts';

export interface SqliteBrokerOptions {
  /** How long a silent process keeps its messages; a dead one loses them at once. */
  readonly leaseMs?: number;
  readonly renewLeaseMs?: number;
  /** How often to look for messages of other processes; one read without a disk access. */
  readonly pollMs?: number;
  /** How often to look for dead and silent processes. */
  readonly reapMs?: number;
  /** Told of failures in the background, which are tried again by themselves. */
  readonly onError?: (error: AudiowaveError) => void;
}

const DEFAULTS = { leaseMs: 10_000, renewLeaseMs: 3_000, pollMs: 200, reapMs: 1_000 };

/** Queues in one SQLite file that several processes may share (docs/adr/003-embedded-queue-on-sqlite.md). */
export class SqliteBroker implements Broker {
  readonly #database: DatabaseSync;
  readonly #owners: BrokerOwners;
  readonly #messages: BrokerMessages;
  readonly #dataVersion: StatementSync;
  readonly #timings: typeof DEFAULTS;
  readonly #onError: (error: unknown) => void;
  readonly #consumers = new Set<QueueConsumer>();
  #closed: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seenVersion = -1;
  #reapAt = 0;
  #renewAt = 0;

  private constructor(database: DatabaseSync, path: string, options: SqliteBrokerOptions) {
    const { onError, ...timings } = options;
    this.#timings = { ...DEFAULTS, ...timings };
    this.#onError = (error) => onError?.(asAudiowaveError(error, 'broker.unavailable'));
    this.#database = database;
    this.#owners = new BrokerOwners(database, path, this.#timings.leaseMs);
    this.#messages = new BrokerMessages(database, this.#owners);
    this.#dataVersion = database.prepare('PRAGMA data_version');
    this.#owners.sweepLocks();
    this.#owners.reap();
  }

  /** Opens or makes the file; what dead processes held is given back. `broker.unavailable` where that is not possible. */
  static open(path: string, options: SqliteBrokerOptions = {}): SqliteBroker {
    return orUnavailable(() => {
      const database = openDatabase(path, BROKER_MIGRATIONS);
      try {
        return new SqliteBroker(database, path, options);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  publish(
    queue: string,
    body: MessageBody,
    options: { readonly messageId?: string; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#whileOpen(() => {
      options.signal?.throwIfAborted();
      const json = toJson(body);
      orUnavailable(() => {
        this.#messages.add(queue, options.messageId ?? randomUUID(), json);
      });
      this.#wake(queue);
    });
  }

  consume(queue: string, options: ConsumeOptions, handler: Handler): Promise<Consumer> {
    return this.#whileOpen(() => {
      if (!(options.prefetch >= 1)) throw new RangeError('prefetch must be 1 or more');
      orUnavailable(() => {
        this.#owners.join();
      });
      const consumer = new QueueConsumer(queue, options, handler, {
        messages: this.#messages,
        onError: this.#onError,
        wake: (name) => {
          this.#wake(name);
        },
        onStopped: (stopped) => this.#consumers.delete(stopped),
      });
      this.#consumers.add(consumer);
      consumer.start();
      this.#timer ??= this.#tickAfter(this.#timings.pollMs, 0);
      return consumer;
    });
  }

  depth(queue: string): Promise<QueueDepth> {
    return this.#whileOpen(() => orUnavailable(() => this.#messages.depth(queue)));
  }

  deadLetters(queue: string, limit: number): Promise<readonly DeadLetter[]> {
    return this.#whileOpen(() => orUnavailable(() => this.#messages.deadLetters(queue, limit)));
  }

  replay(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#whileOpen(() => {
      const count = orUnavailable(() => this.#messages.replay(queue, messageIds));
      this.#wake(queue);
      return count;
    });
  }

  drop(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#whileOpen(() => orUnavailable(() => this.#messages.drop(queue, messageIds)));
  }

  check(): Promise<void> {
    return this.#whileOpen(() => {
      orUnavailable(() => {
        this.#messages.look();
      });
    });
  }

  close(): Promise<void> {
    // Closed from now on, before a handler that is aborted can come back here.
    this.#closed ??= Promise.resolve().then(() => this.#close());
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    // Where the hand-back fails, the messages come back counted, as after a crash.
    this.#attempt(() => {
      this.#messages.handBackAll();
    });
    this.#attempt(() => {
      this.#owners.leave();
    });
    await Promise.all([...this.#consumers].map((consumer) => consumer.halt()));
    this.#database.close();
  }

  async #whileOpen<T>(work: () => T): Promise<T> {
    if (this.#closed !== undefined) {
      throw new AudiowaveError('broker.unavailable', undefined, { detail: 'the broker is closed' });
    }
    return await Promise.resolve(work());
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onError(error);
    }
  }

  #wake(queue?: string): void {
    for (const consumer of this.#consumers) {
      if (queue === undefined || consumer.queue === queue) consumer.wake();
    }
  }

  #tickAfter(ms: number, failures: number): NodeJS.Timeout {
    return setTimeout(() => {
      let next = 0;
      try {
        this.#tick(performance.now());
      } catch (error) {
        this.#onError(error);
        next = failures + 1;
      }
      const pauseMs = next === 0 ? this.#timings.pollMs : fileBackoffMs(next);
      this.#timer = this.#tickAfter(pauseMs, next);
    }, ms);
  }

  /** What other processes did shows in data_version; our own writes don't, and wake consumers themselves. */
  #tick(now: number): void {
    const { data_version: version } = this.#dataVersion.get() as { data_version: number };
    if (version !== this.#seenVersion) this.#wake();
    this.#seenVersion = version;
    if (now >= this.#renewAt) {
      this.#renewAt = now + this.#timings.renewLeaseMs;
      this.#lookAfterHeld();
    }
    if (now >= this.#reapAt) {
      this.#reapAt = now + this.#timings.reapMs;
      if (this.#owners.reap() > 0) this.#wake();
    }
  }

  /** Renews the lease where something is held, and sets right what a failed write or a lost lease left. */
  #lookAfterHeld(): void {
    const held = this.#messages.held();
    if (held.size > 0) this.#owners.extendLease();
    for (const consumer of this.#consumers) {
      consumer.abortLost(({ id, delivery }) => held.get(id) !== delivery);
      for (const { id } of consumer.held()) held.delete(id);
    }
    for (const [id, delivery] of held) {
      this.#messages.settle({ id, delivery }, HANDED_BACK);
      this.#wake();
    }
  }
}

/** The body as it is stored; a body that is no JSON can't ever be published. */
function toJson(body: MessageBody): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    throw asAudiowaveError(error, 'broker.malformed-message');
  }
}

function orUnavailable<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asAudiowaveError(error, 'broker.unavailable');
  }
}
