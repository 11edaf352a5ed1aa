import type { MessageBody } from '../../domain/messages.ts';
import type { DeadLetter, QueueDepth } from '../../ports/broker.ts';
import type { Outcome } from '../../ports/broker-outcome.ts';

/** A message in memory; its body as JSON, so that nobody shares objects with anybody. */
export interface Entry {
  readonly order: number;
  readonly messageId: string;
  readonly body: string;
  attempt: number;
  availableAt: number;
}

/** Only what was published here dies here, so there is always a body. */
interface Buried extends DeadLetter {
  readonly body: MessageBody;
}

interface Queue {
  readonly waiting: Set<Entry>;
  readonly held: Set<Entry>;
  readonly dead: Buried[];
}

/** What stands for the file or the server: it outlives the brokers that use it. */
export class MemoryQueues {
  readonly #queues = new Map<string, Queue>();
  readonly #listeners = new Set<() => void>();
  #order = 0;

  /** Tells of every message that may be there for a consumer. Returns how to end that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  add(queue: string, messageId: string, body: string): void {
    const entry = { order: this.#order++, messageId, body, attempt: 0, availableAt: Date.now() };
    this.#queue(queue).waiting.add(entry);
    this.#changed();
  }

  /** Takes the message that has waited longest, if one is due. */
  take(queue: string): Entry | undefined {
    const { waiting, held } = this.#queue(queue);
    const now = Date.now();
    let first: Entry | undefined;
    for (const entry of waiting) {
      if (entry.availableAt <= now && (first === undefined || isBefore(entry, first))) first = entry;
    }
    if (first === undefined) return undefined;
    waiting.delete(first);
    held.add(first);
    first.attempt++;
    return first;
  }

  /** 0 where a message may be taken now, Infinity where none waits. */
  msUntilDue(queue: string): number {
    let due = Infinity;
    for (const { availableAt } of this.#queue(queue).waiting) due = Math.min(due, availableAt);
    return Math.max(0, due - Date.now());
  }

  settle(name: string, entry: Entry, outcome: Outcome): void {
    const queue = this.#queue(name);
    if (!queue.held.delete(entry)) return;
    if (outcome.kind === 'redeliver') {
      if (!outcome.counted) entry.attempt--;
      if (outcome.delayMs > 0) entry.availableAt = Date.now() + Math.ceil(outcome.delayMs);
      queue.waiting.add(entry);
      this.#changed();
    } else if (outcome.kind === 'bury') {
      queue.dead.push({
        messageId: entry.messageId,
        body: JSON.parse(entry.body) as MessageBody,
        reason: outcome.reason,
        attempts: entry.attempt,
        diedAt: Date.now(),
      });
    }
  }

  dead(queue: string): readonly DeadLetter[] {
    return this.#queue(queue).dead;
  }

  /** Takes the dead letters of `messageIds`, or all, out of the queue. */
  takeDead(name: string, messageIds?: readonly string[]): readonly Buried[] {
    const { dead } = this.#queue(name);
    const all = dead.splice(0);
    const isMeant = (letter: DeadLetter): boolean => messageIds?.includes(letter.messageId) !== false;
    dead.push(...all.filter((letter) => !isMeant(letter)));
    return all.filter(isMeant);
  }

  depth(queue: string): QueueDepth {
    const { waiting, held, dead } = this.#queue(queue);
    return { waiting: waiting.size, unacknowledged: held.size, dead: dead.length };
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { waiting: new Set(), held: new Set(), dead: [] };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.availableAt < b.availableAt || (a.availableAt === b.availableAt && a.order < b.order);
}
