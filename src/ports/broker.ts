import type { MessageBody } from '../domain/messages.ts';

/** What a consumer answers to a delivery. */
export type Verdict =
  /** Done; the message goes. */
  | { readonly kind: 'done' }
  /**
   * To be delivered again: after `delayMs`, or after the consumer's back-off where none is given. `counted: false`
   * gives the attempt back (a drain, a dependency that is away), so that it never leads to a dead letter.
   */
  | { readonly kind: 'retry'; readonly reason: string; readonly delayMs?: number; readonly counted?: boolean }
  /** Can't ever work: a dead letter, with the reason. */
  | { readonly kind: 'reject'; readonly reason: string };

/** One delivery of a message to one consumer. */
export interface Delivery {
  readonly messageId: string;
  readonly body: MessageBody;
  /** 1 the first time; higher after a retry that counted, and after a crash of a consumer that had the message. */
  readonly attempt: number;
  /** Aborted when the consumer must hand back what runs (a drain whose time is over). */
  readonly signal: AbortSignal;
}

export type Handler = (delivery: Delivery) => Promise<Verdict>;

export interface ConsumeOptions {
  /** The most deliveries at the same time; also what this consumer holds of the queue. */
  readonly prefetch: number;
  /** After so many counted attempts a `retry`, or a handler that throws, becomes a dead letter. */
  readonly maxAttempts: number;
  /** Milliseconds to wait before the next attempt, by the number of the attempt that failed (1, 2, …). */
  readonly backoffMs: (attempt: number) => number;
}

export interface Consumer {
  /**
   * Takes no more deliveries and waits for the running ones; after `graceMs` their signals abort, and what has not
   * answered soon after is handed back uncounted. Resolves in bounded time. Harmless to call twice.
   */
  stop(graceMs: number): Promise<void>;
}

/** A message that nobody could handle. */
export interface DeadLetter {
  readonly messageId: string;
  /** Undefined where another program sent what is no JSON object; its bytes are then in `raw`. */
  readonly body: MessageBody | undefined;
  readonly raw?: Uint8Array;
  readonly reason: string;
  readonly attempts: number;
  /** Milliseconds since the epoch. */
  readonly diedAt: number;
}

export interface QueueDepth {
  /** Waiting, the delayed ones included. */
  readonly waiting: number;
  /** With a consumer; undefined where the broker does not tell. */
  readonly unacknowledged: number | undefined;
  readonly dead: number;
}

/**
 * Carries messages between roles. Promises, each with a test in `tests/contracts/broker.contract.ts`:
 * - publish() resolves only when the message is stored: a crash of anybody after that loses nothing;
 * - at least once: a message goes only by `done` or into the dead letters; each delivery has one consumer;
 * - a consumer that dies with a message gives it back, and the attempt is raised;
 * - a `retry` waits for its back-off, and does not hold up other messages;
 * - `reject`, and the last counted attempt, make a dead letter with its reason;
 * - no consumer holds more than its prefetch;
 * - messages survive a restart of the broker;
 * - fields of a body come through unchanged, unknown ones included.
 */
export interface Broker {
  /** `broker.unavailable` where the message could not be stored. Queues come into being by use. */
  publish(
    queue: string,
    body: MessageBody,
    options?: { readonly messageId?: string; readonly signal?: AbortSignal },
  ): Promise<void>;
  /**
   * Begins to deliver; resolves when the first delivery may come, and, where the broker is away, soon: it then begins by
   * itself as soon as the broker answers, as it goes on by itself after every interruption.
   */
  consume(queue: string, options: ConsumeOptions, handler: Handler): Promise<Consumer>;
  depth(queue: string): Promise<QueueDepth>;
  /** The dead letters of a queue, oldest first. */
  deadLetters(queue: string, limit: number): Promise<readonly DeadLetter[]>;
  /**
   * Publishes dead letters again, as new messages that have used no attempt, and forgets them; those of `messageIds`, or
   * all. Says how many. A crash in between may leave one in both places, never in none.
   */
  replay(queue: string, messageIds?: readonly string[]): Promise<number>;
  /** Forgets dead letters, those of `messageIds` or all; says how many. */
  drop(queue: string, messageIds?: readonly string[]): Promise<number>;
  /** Resolves where the broker answers; `broker.unavailable` otherwise. */
  check(): Promise<void>;
  /** Stops all consumers at once, as a crash would but cleanly, and lets go. */
  close(): Promise<void>;
}
