import { randomUUID } from 'node:crypto';
import { asAudiowaveError, AudiowaveError, hasCode } from '../../domain/errors.ts';
import type { MessageBody } from '../../domain/messages.ts';
import type {
  Broker,
  ConsumeOptions,
  Consumer,
  DeadLetter,
  Handler,
  QueueDepth,
} from '../../ports/broker.ts';
import type { Logger } from '../../ports/logger.ts';
import { readAddress, type Address } from './address.ts';
import { QueueConsumer } from './consumer.ts';
import { DeadLetters } from './dead-letters.ts';
import { newMessage } from './envelope.ts';
import { Link } from './link.ts';
import { Outages } from './outages.ts';
import { Publisher } from './publisher.ts';
import { DELAY_STEPS_MS, delayQueue, mainQueue, Queues } from './queues.ts';
import { Subscriptions } from './subscriptions.ts';
import { orAborted } from './waiting.ts';

const PUBLISH_MS = 10_000;
const CALL_MS = 5_000;
const CONSUME_MS = 3_000;
const SETTLE_MS = 1_000;
/** RabbitMQ's own limit (`max_message_size`, 128 MiB), and what a property can hold. */
const LARGEST_MESSAGE_BYTES = 134_217_728;
const LONGEST_ID_BYTES = 255;

export interface RabbitMqOptions {
  readonly log: Logger;
  /**
   * The broker's `consumer_timeout` in milliseconds, 30 min by default: it takes a message away from a consumer that
   * has had it so long. After a third of it a delivery is handed over (docs/adr/010-rabbitmq.md).
   */
  readonly ackTimeoutMs?: number;
  /** After so long without a delivery a consumer subscribes anew; a minute by default. */
  readonly idleRefreshMs?: number;
  /** How long a queue that was just made rests before it is used; a second by default (see {@link Queues}). */
  readonly settleMs?: number;
}

/** What looks into queues. */
interface Reading {
  readonly link: Link;
  readonly queues: Queues;
  readonly deadLetters: DeadLetters;
}

/**
 * Queues on RabbitMQ, shared with whatever else of the family uses them (docs/adr/010-rabbitmq.md). Two connections:
 * the broker stops reading one that publishes while it is low on memory, and acknowledgements must go on.
 */
export class RabbitMqBroker implements Broker {
  readonly #address: Address;
  readonly #options: RabbitMqOptions;
  readonly #outages: Outages;
  readonly #publishing: Link;
  readonly #publisher: Publisher;
  readonly #consumers = new Set<QueueConsumer>();
  #reading: Reading | undefined;
  #closed: Promise<void> | undefined;

  private constructor(address: Address, options: RabbitMqOptions) {
    this.#address = address;
    this.#options = options;
    this.#outages = new Outages(address.place, options.log);
    this.#publishing = this.#link('audiowave publishing');
    this.#publisher = new Publisher(this.#publishing, options.settleMs ?? SETTLE_MS);
  }

  /** Begins to connect, and goes on for ever; `config.invalid` where the address can't be one. */
  static open(url: string, options: RabbitMqOptions): Promise<RabbitMqBroker> {
    return new Promise((resolve) => {
      resolve(new RabbitMqBroker(readAddress(url), options));
    });
  }

  /** Waits up to 10 s for a broker that is away, restarting or low on memory. */
  async publish(
    queue: string,
    body: MessageBody,
    options: { readonly messageId?: string; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    this.#mustBeOpen();
    options.signal?.throwIfAborted();
    const { messageId = randomUUID() } = options;
    const message = newMessage(toJson(body), messageId);
    if (Buffer.byteLength(messageId) > LONGEST_ID_BYTES) throw malformed('the id is longer than 255 bytes');
    const time = AbortSignal.timeout(PUBLISH_MS);
    const signal = options.signal === undefined ? time : AbortSignal.any([time, options.signal]);
    await this.#publisher.send(mainQueue(queue), message, signal);
  }

  async consume(queue: string, options: ConsumeOptions, handler: Handler): Promise<Consumer> {
    this.#mustBeOpen();
    if (!(options.prefetch >= 1)) throw new RangeError('prefetch must be 1 or more');
    const { link, queues } = this.#read();
    const { log, ackTimeoutMs = 1_800_000, idleRefreshMs = 60_000 } = this.#options;
    const consumer = new QueueConsumer(queue, options, handler, {
      publisher: this.#publisher,
      log,
      handOverMs: ackTimeoutMs / 3,
      onStopped: (stopped) => this.#consumers.delete(stopped),
    });
    this.#consumers.add(consumer);
    const subscriptions = new Subscriptions({
      link,
      queues,
      queue,
      prefetch: Math.floor(options.prefetch),
      log,
      take: (channel, message) => {
        consumer.take(channel, message);
      },
      detached: () => consumer.detached,
      isIdle: () => consumer.isIdle,
      idleRefreshMs,
    });
    consumer.start(subscriptions);
    await this.#untilBegun(subscriptions, link);
    return consumer;
  }

  async depth(queue: string): Promise<QueueDepth> {
    return this.#ask(async ({ queues, deadLetters }, signal) => {
      const names = [queue, ...DELAY_STEPS_MS.map((stepMs) => delayQueue(queue, stepMs).name)];
      const counts = await Promise.all(names.map((name) => queues.count(name, signal)));
      const waiting = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
      return { waiting, unacknowledged: undefined, dead: await deadLetters.count(queue) };
    });
  }

  async deadLetters(queue: string, limit: number): Promise<readonly DeadLetter[]> {
    return this.#ask(({ deadLetters }) => deadLetters.read(queue, limit));
  }

  async replay(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#ask(({ deadLetters }) => deadLetters.replay(queue, messageIds));
  }

  async drop(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#ask(({ deadLetters }) => deadLetters.drop(queue, messageIds));
  }

  /**
   * Fails, too, while the broker takes no messages because it is low on memory or disk, and while a queue that is to be
   * consumed can't be: another program holds it exclusively, or its rights were taken away.
   */
  async check(): Promise<void> {
    this.#mustBeOpen();
    const link = this.#publishing;
    const signal = AbortSignal.timeout(CALL_MS);
    try {
      await link.known(signal);
      if (link.reason !== undefined) throw link.unavailable();
      const channel = await link.channel(signal);
      await orAborted(channel.close(), signal);
      const reading = this.#reading?.link;
      if (reading?.reason !== undefined && !reading.isBlocked) throw reading.unavailable();
      const trouble = [...this.#consumers].find((consumer) => consumer.trouble !== undefined)?.trouble;
      if (trouble !== undefined) throw link.troubled(trouble);
    } catch (error) {
      throw hasCode(error, 'broker.unavailable') ? error : link.unavailable(error);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.halt()));
    await Promise.all([this.#publishing.close(), this.#reading?.link.close()]);
  }

  /** Where the broker is away nobody should wait for it: the subscriptions go on trying by themselves. */
  async #untilBegun(subscriptions: Subscriptions, link: Link): Promise<void> {
    const signal = AbortSignal.timeout(CONSUME_MS);
    await link.known(signal).catch(() => undefined);
    if (link.reason === undefined) await orAborted(subscriptions.first, signal).catch(() => undefined);
  }

  async #ask<T>(work: (reading: Reading, signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#mustBeOpen();
    const reading = this.#read();
    try {
      return await work(reading, AbortSignal.timeout(CALL_MS));
    } catch (error) {
      throw hasCode(error, 'broker.unavailable') ? error : reading.link.unavailable(error);
    }
  }

  /** The second connection, made when it is needed. */
  #read(): Reading {
    if (this.#reading === undefined) {
      const link = this.#link('audiowave consuming');
      const queues = new Queues(link, this.#options.settleMs ?? SETTLE_MS);
      this.#reading = { link, queues, deadLetters: new DeadLetters(link, queues, this.#publisher) };
    }
    return this.#reading;
  }

  #link(name: string): Link {
    return new Link(this.#address, name, this.#outages.of(name));
  }

  #mustBeOpen(): void {
    if (this.#closed === undefined) return;
    throw new AudiowaveError('broker.unavailable', undefined, { detail: 'the broker is closed' });
  }
}

function toJson(body: MessageBody): Buffer {
  let json: Buffer;
  try {
    json = Buffer.from(JSON.stringify(body));
  } catch (error) {
    throw asAudiowaveError(error, 'broker.malformed-message');
  }
  if (json.length > LARGEST_MESSAGE_BYTES) throw malformed('the message is larger than 128 MiB');
  return json;
}

function malformed(detail: string): AudiowaveError {
  return new AudiowaveError('broker.malformed-message', undefined, { detail });
}
