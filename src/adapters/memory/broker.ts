import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
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
import { HANDED_BACK, outcomeOf, verdictOfThrown, type Outcome } from '../../ports/broker-outcome.ts';
import { MemoryQueues, type Entry } from './queues.ts';

/** How long an aborted handler may take to answer before its message is handed back. */
const ABORT_ANSWER_MS = 1_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Queues in memory. Brokers on the same MemoryQueues share them, as processes share a file. */
export class MemoryBroker implements Broker {
  readonly #queues: MemoryQueues;
  readonly #consumers = new Set<MemoryConsumer>();
  #closed = false;

  constructor(queues: MemoryQueues = new MemoryQueues()) {
    this.#queues = queues;
  }

  async publish(
    queue: string,
    body: MessageBody,
    options: { readonly messageId?: string; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    this.#mustBeOpen();
    options.signal?.throwIfAborted();
    let json;
    try {
      json = JSON.stringify(body);
    } catch (error) {
      throw asAudiowaveError(error, 'broker.malformed-message');
    }
    this.#queues.add(queue, options.messageId ?? randomUUID(), json);
    return Promise.resolve();
  }

  async consume(queue: string, options: ConsumeOptions, handler: Handler): Promise<Consumer> {
    this.#mustBeOpen();
    if (!(options.prefetch >= 1)) throw new RangeError('prefetch must be 1 or more');
    const consumer = new MemoryConsumer(this.#queues, queue, options, handler, () =>
      this.#consumers.delete(consumer),
    );
    this.#consumers.add(consumer);
    return Promise.resolve(consumer);
  }

  async depth(queue: string): Promise<QueueDepth> {
    this.#mustBeOpen();
    return Promise.resolve(this.#queues.depth(queue));
  }

  async deadLetters(queue: string, limit: number): Promise<readonly DeadLetter[]> {
    this.#mustBeOpen();
    return Promise.resolve(this.#queues.dead(queue).slice(0, limit));
  }

  async replay(queue: string, messageIds?: readonly string[]): Promise<number> {
    this.#mustBeOpen();
    const letters = this.#queues.takeDead(queue, messageIds);
    for (const letter of letters) await this.publish(queue, letter.body, { messageId: letter.messageId });
    return letters.length;
  }

  async drop(queue: string, messageIds?: readonly string[]): Promise<number> {
    this.#mustBeOpen();
    return Promise.resolve(this.#queues.takeDead(queue, messageIds).length);
  }

  async check(): Promise<void> {
    this.#mustBeOpen();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#end(HANDED_BACK);
    return Promise.resolve();
  }

  /** Ends as a process does that is killed: what it holds comes back with the attempt raised. */
  crash(): void {
    this.#end({ kind: 'redeliver', delayMs: 0, counted: true });
  }

  #end(outcome: Outcome): void {
    this.#closed = true;
    for (const consumer of this.#consumers) consumer.halt(outcome);
    this.#consumers.clear();
  }

  #mustBeOpen(): void {
    if (!this.#closed) return;
    throw new AudiowaveError('broker.unavailable', undefined, { detail: 'the broker is closed' });
  }
}

interface Running {
  readonly entry: Entry;
  readonly abort: AbortController;
  over: boolean;
}

class MemoryConsumer implements Consumer {
  readonly #queues: MemoryQueues;
  readonly #queue: string;
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #onStopped: () => void;
  readonly #running = new Map<Running, Promise<void>>();
  readonly #halted = new AbortController();
  readonly #unsubscribe: () => void;
  #look: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #stopped: Promise<void> | undefined;

  constructor(
    queues: MemoryQueues,
    queue: string,
    options: ConsumeOptions,
    handler: Handler,
    onStopped: () => void,
  ) {
    this.#queues = queues;
    this.#queue = queue;
    this.#options = options;
    this.#handler = handler;
    this.#onStopped = onStopped;
    this.#unsubscribe = queues.onChange(() => {
      this.#wake();
    });
    this.#wake();
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#drain(graceMs);
    return this.#stopped;
  }

  /** Ends at once; what runs gets `outcome`. */
  halt(outcome: Outcome): void {
    this.#takeNoMore();
    for (const running of this.#running.keys()) this.#settle(running, outcome);
    for (const { abort } of this.#running.keys()) abort.abort();
    this.#halted.abort();
  }

  async #drain(graceMs: number): Promise<void> {
    this.#takeNoMore();
    await this.#untilIdle(graceMs);
    for (const { abort } of this.#running.keys()) abort.abort();
    await this.#untilIdle(ABORT_ANSWER_MS);
    for (const running of this.#running.keys()) this.#settle(running, HANDED_BACK);
    this.#onStopped();
  }

  #takeNoMore(): void {
    this.#stopping = true;
    this.#unsubscribe();
    clearImmediate(this.#look);
    clearTimeout(this.#timer);
  }

  async #untilIdle(maxMs: number): Promise<void> {
    const timeIsOver = new AbortController();
    const signal = AbortSignal.any([this.#halted.signal, timeIsOver.signal]);
    const time = delay(Math.min(Math.max(0, maxMs), LONGEST_TIMER_MS), undefined, { signal });
    await Promise.race([Promise.all(this.#running.values()), time.catch(() => undefined)]);
    timeIsOver.abort();
  }

  /** Never in the caller's own step, so that publish() runs no handler. */
  #wake(): void {
    if (this.#stopping) return;
    this.#look ??= setImmediate(() => {
      this.#look = undefined;
      this.#fill();
    });
  }

  #fill(): void {
    clearTimeout(this.#timer);
    while (this.#running.size < this.#options.prefetch) {
      const entry = this.#queues.take(this.#queue);
      if (entry === undefined) break;
      const running: Running = { entry, abort: new AbortController(), over: false };
      this.#running.set(running, Promise.resolve());
      this.#running.set(running, this.#run(running));
      // The handler's first step may have stopped this consumer.
      if (this.#stopping) return;
    }
    if (this.#running.size < this.#options.prefetch) this.#lookWhenDue();
  }

  #lookWhenDue(): void {
    // A message may have come due since the last look: then this is 0, and the next look takes it.
    const dueMs = this.#queues.msUntilDue(this.#queue);
    if (!Number.isFinite(dueMs)) return;
    this.#timer = setTimeout(
      () => {
        this.#fill();
      },
      Math.min(dueMs, LONGEST_TIMER_MS),
    );
  }

  async #run(running: Running): Promise<void> {
    const outcome = await this.#ask(running);
    this.#running.delete(running);
    this.#settle(running, outcome);
    this.#wake();
  }

  async #ask({ entry, abort }: Running): Promise<Outcome> {
    const { messageId, attempt } = entry;
    try {
      const body = JSON.parse(entry.body) as MessageBody;
      const verdict = await this.#handler({ messageId, body, attempt, signal: abort.signal });
      return outcomeOf(verdict, attempt, this.#options);
    } catch (error) {
      // A handler that throws because it was told to stop has not failed.
      if (abort.signal.aborted) return HANDED_BACK;
      return outcomeOf(verdictOfThrown(error), attempt, this.#options);
    }
  }

  #settle(running: Running, outcome: Outcome): void {
    if (running.over) return;
    running.over = true;
    this.#queues.settle(this.#queue, running.entry, outcome);
  }
}
