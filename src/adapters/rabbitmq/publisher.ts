import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Channel } from 'rabbitmq-client';
import { AudiowaveError, hasCode } from '../../domain/errors.ts';
import { PUBLICATION, type Outgoing } from './envelope.ts';
import type { Link } from './link.ts';
import { hasAmqpCode, Queues, type QueueSpec } from './queues.ts';
import { orAborted, pause } from './waiting.ts';

const RETRY_PAUSE_MS = 200;

/** A channel in confirm mode, and the publishes on it that came back. */
interface ConfirmChannel {
  readonly channel: Channel;
  readonly returned: Set<unknown>;
}

/** Publishes so that what it says is stored is stored. */
export class Publisher {
  readonly #link: Link;
  readonly #queues: Queues;
  /** One for each queue: the broker handles a channel's messages in turn, and a queue that is stuck holds up the rest. */
  readonly #opening = new Map<string, Promise<ConfirmChannel>>();
  #publications = 0;

  constructor(link: Link, settleMs: number) {
    this.#link = link;
    this.#queues = new Queues(link, settleMs);
  }

  /**
   * Resolves when the queue has the message on disk. Tries again until `signal` aborts, so a message may be there twice
   * where the connection broke in between; then `broker.unavailable`. `broker.malformed-message` where no try can help.
   */
  async send(queue: QueueSpec, message: Outgoing, signal: AbortSignal): Promise<void> {
    let cause: unknown;
    while (!signal.aborted) {
      try {
        await this.#link.publishable(signal);
        await this.#queues.ensure(queue, signal);
        if (await this.#publish(queue.name, message, signal)) return;
        // Deleted by hand since we looked.
        this.#queues.forget(queue.name);
      } catch (error) {
        if (isFinal(error)) {
          throw new AudiowaveError('broker.malformed-message', undefined, {
            cause: error,
            detail: error.message,
          });
        }
        if (hasCode(error, 'broker.unavailable')) throw error;
        // What the end of the time says of itself is no cause.
        if (error !== signal.reason) cause = error;
        await pause(RETRY_PAUSE_MS, signal);
      }
    }
    throw this.#link.unavailable(cause);
  }

  /** True where the message is stored, false where there is no such queue. */
  async #publish(queue: string, { body, properties }: Outgoing, signal: AbortSignal): Promise<boolean> {
    const { channel, returned } = await this.#channel(queue, signal);
    const publication = ++this.#publications;
    const envelope = {
      ...properties,
      headers: { ...properties.headers, [PUBLICATION]: publication },
      routingKey: queue,
      mandatory: true,
      durable: true,
    };
    await orAborted(channel.basicPublish(envelope, body), signal);
    // The broker tells of a return before it confirms, the client one turn after.
    await nextTurn();
    return !returned.delete(publication);
  }

  async #channel(queue: string, signal: AbortSignal): Promise<ConfirmChannel> {
    for (;;) {
      const opening = this.#opening.get(queue) ?? this.#begin(queue, signal);
      const opened = await orAborted(opening, signal);
      if (opened.channel.active) return opened;
      this.#forget(queue, opening);
    }
  }

  #begin(queue: string, signal: AbortSignal): Promise<ConfirmChannel> {
    const opening = this.#open(signal);
    this.#opening.set(queue, opening);
    opening.catch(() => {
      this.#forget(queue, opening);
    });
    return opening;
  }

  #forget(queue: string, opening: Promise<ConfirmChannel>): void {
    if (this.#opening.get(queue) === opening) this.#opening.delete(queue);
  }

  async #open(signal: AbortSignal): Promise<ConfirmChannel> {
    const channel = await this.#link.channel(signal);
    const returned = new Set<unknown>();
    channel.on('basic.return', ({ headers }) => returned.add(headers?.[PUBLICATION] as unknown));
    try {
      await orAborted(channel.confirmSelect(), signal);
    } catch (error) {
      void channel.close();
      throw error;
    }
    return { channel, returned };
  }
}

/** Headers or a body that this broker never takes. */
function isFinal(error: unknown): error is Error {
  if (hasAmqpCode(error, 'CODEC') || error instanceof TypeError || error instanceof RangeError) return true;
  return (
    hasAmqpCode(error, 'PRECONDITION_FAILED') &&
    error instanceof Error &&
    error.message.includes('larger than')
  );
}
