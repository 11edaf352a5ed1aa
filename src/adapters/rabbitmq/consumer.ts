import { setTimeout as delay } from 'node:timers/promises';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import type { ConsumeOptions, Consumer, Handler } from '../../ports/broker.ts';
import { HANDED_BACK } from '../../ports/broker-outcome.ts';
import type { Logger } from '../../ports/logger.ts';
import { Delivery } from './delivery.ts';
import { parseBody, readMessage } from './envelope.ts';
import type { Publisher } from './publisher.ts';
import { Settlement } from './settlement.ts';
import type { Subscriptions } from './subscriptions.ts';

/** How long an aborted handler may take to answer before its message is handed back. */
const ABORT_ANSWER_MS = 1_000;
/** How long handing back may take; what is not back then comes back when the channel ends, counted. */
const HAND_BACK_MS = 4_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ConsumerSurroundings {
  readonly publisher: Publisher;
  readonly log: Logger;
  /** After so long without a verdict a delivery is handed over. */
  readonly handOverMs: number;
  readonly onStopped: (consumer: QueueConsumer) => void;
}

/** Gives the messages of one queue to one handler. */
export class QueueConsumer implements Consumer {
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #around: ConsumerSurroundings;
  readonly #settlement: Settlement;
  readonly #running = new Set<Delivery>();
  readonly #halted = new AbortController();
  readonly #ended = new AbortController();
  #subscriptions: Subscriptions | undefined;
  #isStopping = false;
  #stopped: Promise<void> | undefined;

  constructor(queue: string, options: ConsumeOptions, handler: Handler, around: ConsumerSurroundings) {
    this.#options = options;
    this.#handler = handler;
    this.#around = around;
    this.#settlement = new Settlement(queue, around.publisher, this.#ended.signal);
  }

  start(subscriptions: Subscriptions): void {
    this.#subscriptions = subscriptions;
    subscriptions.start();
  }

  /** Deliveries that run though no subscription waits for them: handed over, or of a channel that is gone. */
  get detached(): number {
    return [...this.#running].filter(({ isHeld, handingOver }) => !isHeld || handingOver !== undefined)
      .length;
  }

  /** Why nothing can come though the broker answers. */
  get trouble(): string | undefined {
    return this.#subscriptions?.trouble;
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** A message that the broker gives to us. */
  take(channel: Channel, message: AsyncMessage): void {
    // The client calls a turn later; the message has gone back by itself then.
    if (!channel.active) return;
    const { consumerTag, deliveryTag } = message;
    const delivery = new Delivery(readMessage(message), { channel, consumerTag, deliveryTag });
    this.#running.add(delivery);
    delivery.ended = this.#run(delivery).catch((error: unknown) => {
      // The consumer's own back-off function failed: the message comes back when the channel ends.
      this.#around.log.error(
        { err: error, messageId: delivery.arrived.messageId },
        'no verdict on a message',
      );
    });
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#drain(graceMs);
    return this.#stopped;
  }

  /** Hands back what has no verdict and ends, in bounded time. */
  async halt(): Promise<void> {
    this.#isStopping = true;
    this.#halted.abort();
    await this.stop(0);
  }

  async #run(delivery: Delivery): Promise<void> {
    try {
      if (this.#isStopping) await this.#settle(delivery, HANDED_BACK);
      else if (!(await this.#settlement.putRight(delivery))) await this.#handle(delivery);
    } finally {
      clearTimeout(delivery.handOverTimer);
      this.#running.delete(delivery);
      this.#subscriptions?.balance();
    }
  }

  async #handle(delivery: Delivery): Promise<void> {
    const parsed = parseBody(delivery.arrived.raw);
    if ('reason' in parsed) {
      this.#around.log.warn(
        { messageId: delivery.arrived.messageId, reason: parsed.reason },
        'message buried',
      );
      await this.#settle(delivery, { kind: 'bury', reason: parsed.reason });
      return;
    }
    delivery.handOverTimer = setTimeout(() => {
      delivery.handingOver = this.#handOver(delivery);
    }, this.#around.handOverMs);
    await this.#settle(delivery, await delivery.ask(this.#handler, parsed.body, this.#options));
  }

  /** The first outcome counts: a verdict after the message was handed back has no effect. */
  #settle(delivery: Delivery, outcome: Parameters<Settlement['carryOut']>[1]): Promise<void> {
    delivery.settled ??= (async () => {
      clearTimeout(delivery.handOverTimer);
      await delivery.handingOver;
      await this.#settlement.carryOut(delivery, outcome);
    })();
    return delivery.settled;
  }

  async #handOver(delivery: Delivery): Promise<void> {
    if (delivery.settled !== undefined || !delivery.isHeld) return;
    // Its place is taken for as long as the handler runs.
    await this.#subscriptions?.cancel(delivery.hold);
    delivery.isHandedOver = await this.#settlement.handOver(delivery, this.#around.handOverMs);
    if (!delivery.isHandedOver) return;
    this.#around.log.info(
      { messageId: delivery.arrived.messageId },
      'a delivery runs so long that it is handed over: a copy comes back later',
    );
  }

  async #drain(graceMs: number): Promise<void> {
    this.#isStopping = true;
    await this.#subscriptions?.cancelAll();
    if (!this.#halted.signal.aborted) await this.#untilIdle(graceMs);
    if (!this.#halted.signal.aborted && this.#running.size > 0) {
      this.#abortAll();
      await this.#untilIdle(ABORT_ANSWER_MS);
    }
    const handedBack = [...this.#running].map((delivery) => this.#settle(delivery, HANDED_BACK));
    this.#abortAll();
    await within(HAND_BACK_MS, Promise.allSettled(handedBack));
    this.#ended.abort();
    await this.#subscriptions?.close();
    this.#around.onStopped(this);
  }

  #abortAll(): void {
    for (const { abort } of this.#running) abort.abort();
  }

  async #untilIdle(maxMs: number): Promise<void> {
    const idle = Promise.all([...this.#running].map(({ ended }) => ended));
    await within(maxMs, idle, this.#halted.signal);
  }
}

/** Waits for `promise`, but at most `ms`, and not beyond the signal. */
async function within(ms: number, promise: Promise<unknown>, until?: AbortSignal): Promise<void> {
  const over = new AbortController();
  const signal = until === undefined ? over.signal : AbortSignal.any([over.signal, until]);
  const time = delay(Math.min(Math.max(0, ms), LONGEST_TIMER_MS), undefined, { signal });
  await Promise.race([promise, time.catch(() => undefined)]);
  over.abort();
}
