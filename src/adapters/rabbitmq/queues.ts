import { AMQPError } from 'rabbitmq-client';
import type { Link } from './link.ts';
import { orAborted, pause } from './waiting.ts';

/** A queue and how to make it where there is none. */
export interface QueueSpec {
  readonly name: string;
  readonly arguments: Readonly<Record<string, string | number>>;
}

/**
 * Quorum, so that a confirmed message is on disk. RabbitMQ 4 gives up a message after 20 returns and would lose it, so
 * the limit is out of reach; 3.10 knows no way to say "none".
 */
const QUORUM = { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 ** 31 - 1 };

export function mainQueue(name: string): QueueSpec {
  return { name, arguments: QUORUM };
}

export function deadQueue(name: string): QueueSpec {
  return { name: `${name}.dead`, arguments: QUORUM };
}

/**
 * How long the delay queues hold a message. The TTL of a message ends only at the head of its queue, so each step is a
 * queue whose messages all wait equally long; other delays are made of several steps.
 */
export const DELAY_STEPS_MS = [100, 1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000, 3_600_000] as const;

/** The queue in which a message of `name` waits `stepMs`, and from which it can't be lost on its way back. */
export function delayQueue(name: string, stepMs: number): QueueSpec {
  return {
    name: `audiowave.delay.${name}.${String(stepMs)}`,
    arguments: {
      ...QUORUM,
      'x-message-ttl': stepMs,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': name,
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    },
  };
}

/** The longest step that is over when `delayMs` are, or a tenth and 50 ms later: a hop saved for a small lateness. */
export function delayStep(delayMs: number): number {
  const most = delayMs * 1.1 + 50;
  return DELAY_STEPS_MS.findLast((stepMs) => stepMs <= most) ?? DELAY_STEPS_MS[0];
}

/** What one link knows of the queues. */
export class Queues {
  readonly #link: Link;
  readonly #known = new Map<string, Promise<unknown>>();
  readonly #settleMs: number;
  #generation = 0;

  /**
   * `settleMs`: how old a queue has to be before it is used. A node notes half a second later that it has a new quorum
   * queue; killed before that, it forgets the queue with what was confirmed in it (RabbitMQ 3.10, seen).
   */
  constructor(link: Link, settleMs: number) {
    this.#link = link;
    this.#settleMs = settleMs;
  }

  /** Makes the queue where there is none; one that is there is used as it is. */
  async ensure(spec: QueueSpec, signal: AbortSignal): Promise<void> {
    if (this.#generation !== this.#link.generation) this.#known.clear();
    this.#generation = this.#link.generation;
    let known = this.#known.get(spec.name);
    if (known === undefined) {
      known = this.#findOrDeclare(spec, signal);
      this.#known.set(spec.name, known);
      known.catch(() => {
        if (this.#known.get(spec.name) === known) this.#known.delete(spec.name);
      });
    }
    await orAborted(known, signal);
  }

  /** The queue may be gone: looks again before it is used next. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  /** Messages that wait in the queue; undefined where there is none. */
  async count(name: string, signal: AbortSignal): Promise<number | undefined> {
    const { messageCount } = (await this.#passive(name, signal)) ?? {};
    return messageCount;
  }

  async #findOrDeclare(spec: QueueSpec, signal: AbortSignal): Promise<void> {
    if ((await this.#passive(spec.name, signal)) !== undefined) return;
    try {
      await this.#once({ queue: spec.name, durable: true, arguments: { ...spec.arguments } }, signal);
      await pause(this.#settleMs, signal);
    } catch (error) {
      // Somebody made it, of another kind, in this moment.
      if (!hasAmqpCode(error, 'PRECONDITION_FAILED')) throw error;
    }
  }

  async #passive(queue: string, signal: AbortSignal): Promise<{ messageCount: number } | undefined> {
    try {
      return await this.#once({ queue, passive: true }, signal);
    } catch (error) {
      if (hasAmqpCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** On a channel of its own: a "no" of the broker closes the channel. */
  async #once(
    declaration: { queue: string; passive?: boolean; durable?: boolean; arguments?: Record<string, unknown> },
    signal: AbortSignal,
  ): Promise<{ messageCount: number }> {
    const channel = await this.#link.channel(signal);
    try {
      return await orAborted(channel.queueDeclare(declaration), signal);
    } finally {
      void channel.close();
    }
  }
}

export function hasAmqpCode(error: unknown, code: string): boolean {
  return error instanceof AMQPError && error.code === code;
}
