import { setTimeout as delay } from 'node:timers/promises';
import type { MessageBody } from '../../domain/messages.ts';
import type { ConsumeOptions, Consumer, Handler } from '../../ports/broker.ts';
import { HANDED_BACK, outcomeOf, verdictOfThrown, type Outcome } from '../../ports/broker-outcome.ts';
import { Bell } from './bell.ts';
import type { BrokerMessages, TakenMessage } from './broker-messages.ts';

/** How long an aborted handler may take to answer before its message is handed back. */
const ABORT_ANSWER_MS = 1_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const LONGEST_WAIT_MS = 60_000;

/** Milliseconds to wait after `failures` failures of the file in a row. */
export function fileBackoffMs(failures: number): number {
  return Math.min(5_000, 50 * 2 ** failures);
}

/** What a consumer asks of its broker. */
export interface ConsumerSurroundings {
  readonly messages: BrokerMessages;
  readonly onError: (error: unknown) => void;
  /** Wakes all consumers of the queue: a message may be there for them. */
  readonly wake: (queue: string) => void;
  readonly onStopped: (consumer: QueueConsumer) => void;
}

interface Running {
  readonly taken: TakenMessage;
  readonly abort: AbortController;
  /** The message is settled or handed back: the verdict has no effect any more. */
  over: boolean;
}

/** Takes messages of one queue and gives them to one handler. */
export class QueueConsumer implements Consumer {
  readonly queue: string;
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #around: ConsumerSurroundings;
  readonly #bell = new Bell();
  readonly #running = new Map<Running, Promise<void>>();
  readonly #halted = new AbortController();
  #stopping = false;
  #loop: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(queue: string, options: ConsumeOptions, handler: Handler, around: ConsumerSurroundings) {
    this.queue = queue;
    this.#options = options;
    this.#handler = handler;
    this.#around = around;
  }

  start(): void {
    this.#loop ??= this.#takeUntilStopped();
  }

  wake(): void {
    this.#bell.ring();
  }

  /** The deliveries that run here, by message. */
  *held(): Iterable<TakenMessage> {
    for (const running of this.#running.keys()) if (!running.over) yield running.taken;
  }

  /** Aborts the handlers of deliveries that `isLost`: somebody else has the message now. */
  abortLost(isLost: (taken: TakenMessage) => boolean): void {
    for (const running of this.#running.keys()) {
      if (running.over || !isLost(running.taken)) continue;
      running.over = true;
      running.abort.abort();
    }
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#drain(graceMs);
    return this.#stopped;
  }

  /** Ends at once; the caller has handed the messages back. */
  async halt(): Promise<void> {
    this.#stopping = true;
    this.#halted.abort();
    for (const running of this.#running.keys()) running.over = true;
    for (const running of this.#running.keys()) running.abort.abort();
    this.#bell.ring();
    await Promise.all([this.#loop, this.#stopped]);
  }

  async #takeUntilStopped(): Promise<void> {
    let failures = 0;
    while (!this.#stopping) {
      let waitMs;
      try {
        waitMs = this.#fill();
        failures = 0;
      } catch (error) {
        this.#around.onError(error);
        waitMs = fileBackoffMs(failures++);
      }
      await this.#bell.wait(Math.min(waitMs, LONGEST_WAIT_MS));
    }
  }

  /** Takes what fits; returns how long it may wait if nobody rings. */
  #fill(): number {
    const free = this.#options.prefetch - this.#running.size;
    if (free <= 0) return Infinity;
    // A look costs no write: consumers of other queues and processes wake this one, too.
    const waitMs = this.#around.messages.msUntilDue(this.queue);
    if (waitMs > 0) return waitMs;
    const taken = this.#around.messages.take(this.queue, free);
    for (const message of taken) this.#begin(message);
    return taken.length === free ? Infinity : this.#around.messages.msUntilDue(this.queue);
  }

  #begin(taken: TakenMessage): void {
    const running: Running = { taken, abort: new AbortController(), over: false };
    // The slot is taken before the handler's first step runs.
    this.#running.set(running, Promise.resolve());
    this.#running.set(running, this.#run(running));
  }

  async #run(running: Running): Promise<void> {
    try {
      await this.#settle(running, await this.#ask(running));
    } catch (error) {
      // The consumer's own back-off function failed; the broker hands the message back later.
      this.#around.onError(error);
    } finally {
      this.#running.delete(running);
      this.#bell.ring();
    }
  }

  async #ask({ taken, abort }: Running): Promise<Outcome> {
    const { messageId, attempt } = taken;
    try {
      const body = JSON.parse(taken.body) as MessageBody;
      const verdict = await this.#handler({ messageId, body, attempt, signal: abort.signal });
      return outcomeOf(verdict, attempt, this.#options);
    } catch (error) {
      // A handler that throws because it was told to stop has not failed.
      if (abort.signal.aborted) return HANDED_BACK;
      return outcomeOf(verdictOfThrown(error), attempt, this.#options);
    }
  }

  /** Tries until the file takes it: the verdict must not be lost because the disk was full for a moment. */
  async #settle(running: Running, outcome: Outcome): Promise<void> {
    for (let failures = 0; !running.over; failures++) {
      try {
        this.#around.messages.settle(running.taken, outcome);
        running.over = true;
      } catch (error) {
        this.#around.onError(error);
        await this.#pause(fileBackoffMs(failures));
      }
    }
    if (outcome.kind === 'redeliver') this.#around.wake(this.queue);
  }

  async #drain(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#bell.ring();
    await this.#loop;
    await this.#untilIdle(graceMs);
    if (this.#running.size > 0) {
      for (const { abort } of this.#running.keys()) abort.abort();
      await this.#untilIdle(ABORT_ANSWER_MS);
    }
    for (const running of this.#running.keys()) this.#handBack(running);
    this.#running.clear();
    this.#around.onStopped(this);
  }

  #handBack(running: Running): void {
    if (running.over) return;
    running.over = true;
    try {
      this.#around.messages.settle(running.taken, HANDED_BACK);
      this.#around.wake(this.queue);
    } catch (error) {
      // The broker finds it later: a message that it holds and no consumer runs.
      this.#around.onError(error);
    }
  }

  async #untilIdle(maxMs: number): Promise<void> {
    const timeIsOver = new AbortController();
    const idle = Promise.all(this.#running.values());
    try {
      await Promise.race([idle, this.#pause(maxMs, timeIsOver.signal)]);
    } finally {
      timeIsOver.abort();
    }
  }

  /** Waits; ends early when the consumer is halted. */
  async #pause(ms: number, signal?: AbortSignal): Promise<void> {
    const ends = signal === undefined ? [this.#halted.signal] : [this.#halted.signal, signal];
    const bounded = Math.min(Math.max(0, ms), LONGEST_TIMER_MS);
    await delay(bounded, undefined, { signal: AbortSignal.any(ends) }).catch(() => undefined);
  }
}
