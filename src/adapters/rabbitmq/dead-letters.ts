import type { Channel, SyncMessage } from 'rabbitmq-client';
import type { DeadLetter } from '../../ports/broker.ts';
import { keepBytes } from './client-inner.ts';
import { copyForReplay, parseBody, readDeath, readMessage, type Arrived } from './envelope.ts';
import type { Link } from './link.ts';
import type { Publisher } from './publisher.ts';
import { deadQueue, hasAmqpCode, mainQueue, type Queues } from './queues.ts';
import { orAborted, pause } from './waiting.ts';

const CALL_MS = 10_000;
const BACK_MS = 2_000;
const BACK_PAUSE_MS = 10;

/**
 * The dead letters, read by getting and giving back, since a queue has no other way to look into it. While one call
 * holds them another would see none, so they take turns here; of two processes one may see fewer.
 */
export class DeadLetters {
  readonly #link: Link;
  readonly #queues: Queues;
  readonly #publisher: Publisher;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(link: Link, queues: Queues, publisher: Publisher) {
    this.#link = link;
    this.#queues = queues;
    this.#publisher = publisher;
  }

  count(queue: string): Promise<number> {
    return this.#inTurn(queue, async () => {
      return (await this.#queues.count(deadQueue(queue).name, AbortSignal.timeout(CALL_MS))) ?? 0;
    });
  }

  read(queue: string, limit: number): Promise<readonly DeadLetter[]> {
    return this.#inTurn(queue, async () => {
      const letters: DeadLetter[] = [];
      await this.#visit(queue, limit, (message, arrived) => {
        letters.push(toDeadLetter(message, arrived));
        return Promise.resolve('keep');
      });
      // Those that were given back once need not stand in their old order.
      return letters.sort((a, b) => a.diedAt - b.diedAt);
    });
  }

  replay(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#remove(queue, messageIds, (arrived) =>
      this.#publisher.send(mainQueue(queue), copyForReplay(arrived), AbortSignal.timeout(CALL_MS)),
    );
  }

  drop(queue: string, messageIds?: readonly string[]): Promise<number> {
    return this.#remove(queue, messageIds, () => Promise.resolve());
  }

  async #remove(
    queue: string,
    messageIds: readonly string[] | undefined,
    before: (arrived: Arrived) => Promise<void>,
  ): Promise<number> {
    const meant = messageIds && new Set(messageIds);
    return this.#inTurn(queue, async () => {
      let removed = 0;
      await this.#visit(queue, Infinity, async (_message, arrived) => {
        if (meant?.has(arrived.messageId) === false) return 'keep';
        await before(arrived);
        removed++;
        return 'forget';
      });
      return removed;
    });
  }

  /** Shows each letter that is there now, `limit` at most, to `visitor`, and gives back what it keeps. */
  async #visit(
    queue: string,
    limit: number,
    visitor: (message: SyncMessage, arrived: Arrived) => Promise<'keep' | 'forget'>,
  ): Promise<void> {
    const { name } = deadQueue(queue);
    const there = (await this.#queues.count(name, AbortSignal.timeout(CALL_MS))) ?? 0;
    if (there === 0) return;
    const channel = await this.#link.channel(AbortSignal.timeout(CALL_MS));
    let [kept, lastKept] = [0, 0];
    try {
      keepBytes(channel);
      for (let seen = 0; seen < Math.min(there, limit); seen++) {
        const message = await get(channel, name);
        if (message === undefined) break;
        const { deliveryTag } = message;
        if ((await visitor(message, readMessage(message))) === 'forget') {
          channel.basicAck({ deliveryTag });
        } else {
          lastKept = deliveryTag;
          kept++;
        }
      }
      if (kept > 0) channel.basicNack({ deliveryTag: lastKept, multiple: true, requeue: true });
    } catch (error) {
      if (!hasAmqpCode(error, 'NOT_FOUND')) throw error;
    } finally {
      await orAborted(channel.close(), AbortSignal.timeout(CALL_MS)).catch(() => undefined);
    }
    await this.#untilBack(name, kept);
  }

  /** A quorum queue takes back in its own time; who looks before that would see too few. */
  async #untilBack(name: string, kept: number): Promise<void> {
    const signal = AbortSignal.timeout(BACK_MS);
    while (!signal.aborted) {
      const there = await this.#queues.count(name, signal).catch(() => 0);
      if (there === undefined || there >= kept) return;
      await pause(BACK_PAUSE_MS, signal);
    }
  }

  #inTurn<T>(queue: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(queue) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(
      queue,
      turn.catch(() => undefined),
    );
    return turn;
  }
}

async function get(channel: Channel, queue: string): Promise<SyncMessage | undefined> {
  return orAborted(channel.basicGet({ queue }), AbortSignal.timeout(CALL_MS));
}

function toDeadLetter(message: SyncMessage, { messageId, raw }: Arrived): DeadLetter {
  const parsed = parseBody(raw);
  const content = 'body' in parsed ? parsed : { body: undefined, raw };
  return { messageId, ...content, ...readDeath(message) };
}
