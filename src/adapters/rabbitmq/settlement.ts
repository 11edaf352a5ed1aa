import { hasCode } from '../../domain/errors.ts';
import type { Outcome } from '../../ports/broker-outcome.ts';
import type { Delivery } from './delivery.ts';
import { copyForBurial, copyForLater, type Arrived, type Outgoing } from './envelope.ts';
import type { Publisher } from './publisher.ts';
import { deadQueue, delayQueue, delayStep, mainQueue } from './queues.ts';
import { jittered, pause } from './waiting.ts';

const SEND_MS = 10_000;
const RETRY_PAUSE_MS = 1_000;

/**
 * Carries outcomes out. Nothing but an acknowledgement is asked of the broker: a message that goes on is first
 * published anew, confirmed, with the counters it should have, and only then acknowledged. Classic queues know no
 * other way, and quorum queues would count every return.
 */
export class Settlement {
  readonly #queue: string;
  readonly #publisher: Publisher;
  readonly #ended: AbortSignal;

  /** Tries until `ended` aborts. */
  constructor(queue: string, publisher: Publisher, ended: AbortSignal) {
    this.#queue = queue;
    this.#publisher = publisher;
    this.#ended = ended;
  }

  async carryOut(delivery: Delivery, outcome: Outcome): Promise<void> {
    const { arrived } = delivery;
    if (outcome.kind === 'bury') {
      await this.#move(delivery, () => this.bury(arrived, outcome.reason), delivery.isHandedOver);
    } else if (outcome.kind === 'redeliver') {
      const used = outcome.counted ? arrived.attempt : arrived.attempt - 1;
      await this.#move(delivery, () => this.#later(arrived, used, outcome.delayMs));
    } else {
      delivery.ack();
    }
  }

  /** A delivery that came too early, or whose attempt its queue did not count, goes on as it should have come. */
  async putRight(delivery: Delivery): Promise<boolean> {
    const { arrived } = delivery;
    const leftMs = (arrived.dueAt ?? 0) - Date.now();
    if (leftMs > 0) {
      await this.#move(delivery, () => this.#later(arrived, arrived.attempt - 1, leftMs));
      return true;
    }
    if (arrived.isUncountedReturn) {
      await this.#move(delivery, () => this.#later(arrived, arrived.attempt, 0));
      return true;
    }
    return false;
  }

  /**
   * A copy comes back after `delayMs`, as that of a consumer that died; then the broker waits for nothing more. False
   * where the message went back by itself meanwhile.
   */
  async handOver(delivery: Delivery, delayMs: number): Promise<boolean> {
    const { arrived } = delivery;
    return this.#move(delivery, () => this.#later(arrived, arrived.attempt, delayMs));
  }

  async bury(arrived: Arrived, reason: string): Promise<void> {
    await this.#send(deadQueue(this.#queue), copyForBurial(arrived, reason));
  }

  /** Publishes the copy, however long that takes, and then acknowledges; unless the message went back by itself. */
  async #move(delivery: Delivery, publish: () => Promise<void>, evenIfGone = false): Promise<boolean> {
    while (delivery.isHeld || evenIfGone) {
      try {
        await publish();
        delivery.ack();
        return true;
      } catch {
        // The link says once that the broker is away.
        if (this.#ended.aborted) return false;
        await pause(jittered(RETRY_PAUSE_MS), this.#ended);
      }
    }
    return false;
  }

  async #later(arrived: Arrived, attemptsUsed: number, delayMs: number): Promise<void> {
    if (delayMs <= 0) {
      await this.#send(mainQueue(this.#queue), copyForLater(arrived, attemptsUsed));
      return;
    }
    const target = delayQueue(this.#queue, delayStep(delayMs));
    await this.#send(target, copyForLater(arrived, attemptsUsed, Date.now() + Math.ceil(delayMs)));
  }

  async #send(...[queue, message]: [Parameters<Publisher['send']>[0], Outgoing]): Promise<void> {
    const signal = AbortSignal.any([AbortSignal.timeout(SEND_MS), this.#ended]);
    try {
      await this.#publisher.send(queue, message, signal);
    } catch (error) {
      if (!hasCode(error, 'broker.malformed-message')) throw error;
      // Headers of another program that can't be written again must not hold the message.
      await this.#publisher.send(queue, withoutForeignHeaders(message), signal);
    }
  }
}

function withoutForeignHeaders({ body, properties }: Outgoing): Outgoing {
  const ours = Object.entries(properties.headers ?? {}).filter(([name]) => name.startsWith('x-audiowave-'));
  const { messageId, contentType } = properties;
  return {
    body,
    properties: {
      ...(messageId === undefined ? {} : { messageId }),
      ...(contentType === undefined ? {} : { contentType }),
      headers: Object.fromEntries(ours),
    },
  };
}
