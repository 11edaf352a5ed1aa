import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import type { Logger } from '../../ports/logger.ts';
import { cancelButHear, keepBytes } from './client-inner.ts';
import type { Link } from './link.ts';
import { deadQueue, mainQueue, type Queues } from './queues.ts';
import { jittered, orAborted, pause } from './waiting.ts';

const SETUP_MS = 15_000;
const LONGEST_PAUSE_MS = 15_000;
const CLOSE_MS = 2_000;
/** How long what was assigned before the end of a subscription may take to come. */
const LATE_MS = 50;

export interface SubscriptionOptions {
  readonly link: Link;
  readonly queues: Queues;
  readonly queue: string;
  readonly prefetch: number;
  readonly log: Logger;
  readonly take: (channel: Channel, message: AsyncMessage) => void;
  /** How many deliveries run without a subscription; so many are left out. */
  readonly detached: () => number;
  /** Nothing runs. */
  readonly isIdle: () => boolean;
  /** After so long without a delivery the subscriptions are made anew. */
  readonly idleRefreshMs: number;
}

/**
 * What one consumer asks of the broker: a channel of its own, and on it one subscription with a prefetch of 1 for each
 * place. A place whose handler goes on without its message (handed over, or cut off) has none until it is free, so that
 * no message waits here while another process could have it. Made again for ever after every interruption, and when
 * nothing came for long: a quorum queue that was deleted and made again within milliseconds goes on assigning messages
 * to the old subscription, to which they never come (RabbitMQ 3.10).
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
  #refreshTimer: NodeJS.Timeout | undefined;
  #trouble: string | undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Resolves when deliveries may come for the first time. */
  get first(): Promise<unknown> {
    return this.#first.promise;
  }

  /** Why the queue can't be consumed though the broker answers; undefined where it is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  start(): void {
    this.#loop ??= this.#subscribeForEver();
  }

  /** Subscribes as often as there are free places. */
  balance(): void {
    this.#inTurn(() => this.#fill());
  }

  /** Ends the subscription of a delivery, whose place is now taken without it. */
  async cancel({ channel, consumerTag }: { channel: Channel; consumerTag: string }): Promise<void> {
    if (!this.#tags.delete(consumerTag) || !channel.active) return;
    const signal = AbortSignal.timeout(SETUP_MS);
    await orAborted(this.#end(channel, consumerTag), signal).catch(() => undefined);
  }

  /** No delivery begins after this; those that run can still be acknowledged. */
  async cancelAll(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#refreshTimer);
    const cancelled = this.#balancing.then(() => this.#cancelTags());
    await orAborted(cancelled, AbortSignal.timeout(CLOSE_MS)).catch(() => undefined);
  }

  /** Lets the channel go; acknowledgements sent before are heeded. */
  async close(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#refreshTimer);
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
        this.#trouble = undefined;
        this.#first.resolve(undefined);
        await closed;
        this.#tags.clear();
      } catch (error) {
        // Where the broker is away, the link says so.
        if (link.reason === undefined && !this.#isEnded()) {
          if (this.#trouble === undefined)
            log.warn({ err: error, queue }, 'queue cannot be consumed; trying again');
          this.#trouble = `queue '${queue}' cannot be consumed: ${error instanceof Error ? error.message : String(error)}`;
        }
        failures++;
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
        void channel.close();
      });
      await orAborted(channel.basicQos({ prefetchCount: 1 }), signal);
      this.#tags.clear();
      this.#channel = channel;
      await orAborted(this.#fill(), signal);
      return { closed };
    } catch (error) {
      queues.forget(queue);
      void channel.close();
      throw error;
    }
  }

  #inTurn(work: () => Promise<void>): void {
    this.#balancing = this.#balancing.then(work).catch(() => this.#channel?.close());
  }

  async #cancelTags(): Promise<void> {
    const channel = this.#channel;
    if (channel?.active === true) {
      await Promise.all([...this.#tags].map((tag) => this.#end(channel, tag)));
      await delay(LATE_MS);
    }
    this.#tags.clear();
  }

  #end(channel: Channel, consumerTag: string): Promise<void> {
    return cancelButHear(channel, consumerTag, (message) => {
      this.#options.take(channel, message);
    });
  }

  async #refresh(): Promise<void> {
    if (this.#isEnded()) return;
    if (this.#options.isIdle()) {
      await this.#cancelTags();
      // Closed only where nothing came at the last moment; otherwise that channel serves on.
      if (this.#options.isIdle()) await this.#channel?.close();
    }
    await this.#fill();
  }

  #isEnded(): boolean {
    return this.#ended.signal.aborted;
  }

  async #fill(): Promise<void> {
    const { queue, prefetch, take, detached } = this.#options;
    const channel = this.#channel;
    clearTimeout(this.#refreshTimer);
    if (this.#isEnded()) return;
    this.#refreshTimer = setTimeout(() => {
      this.#inTurn(() => this.#refresh());
    }, this.#options.idleRefreshMs);
    while (channel?.active === true && !this.#isEnded() && this.#tags.size < prefetch - detached()) {
      const consumerTag = `audiowave-${String(++this.#lastTag)}`;
      this.#tags.add(consumerTag);
      await channel.basicConsume({ queue, consumerTag }, (message) => {
        // What comes shows that the queue is consumed, before the broker has said so for every place.
        this.#trouble = undefined;
        take(channel, message);
      });
    }
  }
}
