import { once } from 'node:events';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import type { Logger } from '../../ports/logger.ts';
import { keepBytes } from './envelope.ts';
import type { Link } from './link.ts';
import { deadQueue, mainQueue, type Queues } from './queues.ts';
import { jittered, orAborted, pause } from './waiting.ts';

const SETUP_MS = 15_000;
const LONGEST_PAUSE_MS = 15_000;
const CLOSE_MS = 2_000;

export interface SubscriptionOptions {
  readonly link: Link;
  readonly queues: Queues;
  readonly queue: string;
  readonly prefetch: number;
  readonly log: Logger;
  readonly take: (channel: Channel, message: AsyncMessage) => void;
  /** How many deliveries run without a subscription; so many are left out. */
  readonly detached: () => number;
}

/**
 * What one consumer asks of the broker: a channel of its own, and on it one subscription with a prefetch of 1 for each
 * place. A place whose handler goes on without its message (handed over, or cut off) has none until it is free, so that
 * no message waits here while another process could have it. Made again for ever after every interruption.
 */
export class Subscriptions {
  readonly #options: SubscriptionOptions;
  readonly #tags = new Set<string>();
  readonly #ended = new AbortController();
  readonly #first = Promise.withResolvers<undefined>();
  #channel: Channel | undefined;
  #balancing: Promise<void> = Promise.resolve();
  #loop: Promise<void> | undefined;
  #lastTag = 0;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Resolves when deliveries may come for the first time. */
  get first(): Promise<unknown> {
    return this.#first.promise;
  }

  start(): void {
    this.#loop ??= this.#subscribeForEver();
  }

  /** Subscribes as often as there are free places. */
  balance(): void {
    this.#balancing = this.#balancing.then(() => this.#fill()).catch(() => this.#channel?.close());
  }

  /** Ends the subscription of a delivery, whose place is now taken without it. */
  async cancel({ channel, consumerTag }: { channel: Channel; consumerTag: string }): Promise<void> {
    if (!this.#tags.delete(consumerTag) || !channel.active) return;
    const signal = AbortSignal.timeout(SETUP_MS);
    await orAborted(channel.basicCancel(consumerTag), signal).catch(() => undefined);
  }

  /** No delivery begins after this; those that run can still be acknowledged. */
  async cancelAll(): Promise<void> {
    this.#ended.abort();
    const channel = this.#channel;
    if (channel === undefined) return;
    const time = AbortSignal.timeout(CLOSE_MS);
    const cancelled = this.#balancing.then(() =>
      Promise.all([...this.#tags].map((tag) => channel.basicCancel(tag))),
    );
    await orAborted(cancelled, time).catch(() => undefined);
    this.#tags.clear();
  }

  /** Lets the channel go; acknowledgements sent before are heeded. */
  async close(): Promise<void> {
    this.#ended.abort();
    const closed = Promise.all([this.#channel?.close(), this.#loop]);
    await orAborted(closed, AbortSignal.timeout(CLOSE_MS)).catch(() => undefined);
  }

  async #subscribeForEver(): Promise<void> {
    const { log, queue, link } = this.#options;
    const { signal } = this.#ended;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const { closed } = await this.#subscribe();
        failures = 0;
        this.#first.resolve(undefined);
        await closed;
        this.#tags.clear();
      } catch (error) {
        // Where the broker is away, the link says so.
        if (failures++ === 0 && link.reason === undefined && !this.#isEnded()) {
          log.warn({ err: error, queue }, 'queue cannot be consumed; trying again');
        }
      }
      await pause(jittered(Math.min(LONGEST_PAUSE_MS, 200 * 2 ** failures)), signal);
    }
  }

  /** `closed` resolves when the channel is. */
  async #subscribe(): Promise<{ readonly closed: Promise<unknown> }> {
    const { link, queues, queue } = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(SETUP_MS), this.#ended.signal]);
    await queues.ensure(deadQueue(queue), signal);
    await queues.ensure(mainQueue(queue), signal);
    const channel = await link.channel(signal);
    try {
      keepBytes(channel);
      const closed = once(channel, 'close');
      // The queue was deleted, or moved: begin anew.
      channel.on('basic.cancel', () => {
        queues.forget(queue);
        queues.forget(mainQueue(queue).name);
        void channel.close();
      });
      await orAborted(channel.basicQos({ prefetchCount: 1 }), signal);
      this.#tags.clear();
      this.#channel = channel;
      await orAborted(this.#fill(), signal);
      return { closed };
    } catch (error) {
      queues.forget(mainQueue(queue).name);
      void channel.close();
      throw error;
    }
  }

  #isEnded(): boolean {
    return this.#ended.signal.aborted;
  }

  async #fill(): Promise<void> {
    const { queue, prefetch, take, detached } = this.#options;
    const channel = this.#channel;
    while (channel?.active === true && !this.#isEnded() && this.#tags.size < prefetch - detached()) {
      const consumerTag = `audiowave-${String(++this.#lastTag)}`;
      this.#tags.add(consumerTag);
      await channel.basicConsume({ queue, consumerTag }, (message) => {
        take(channel, message);
      });
    }
  }
}
