import assert from 'node:assert/strict';
import type { MessageBody } from '../../../src/domain/messages.ts';
import type {
  Broker,
  ConsumeOptions,
  DeadLetter,
  Delivery,
  QueueDepth,
  Verdict,
} from '../../../src/ports/broker.ts';
import { eventually } from '../../support/eventually.ts';

/** A store of messages under test, empty at first. */
export interface BrokerSubject {
  /** Where depth() can't tell how many messages are with consumers: why, and how else to learn it. */
  readonly untold?: { readonly why: string; unacknowledged(queue: string): Promise<number> };
  /** A broker on the store: called again, another instance, or the one after a restart. Closed after the test. */
  open(): Promise<Broker>;
  /** Another process on the store, or what stands for one. Gone after the test. */
  otherProcess(): Promise<OtherProcess>;
}

export interface OtherProcess {
  publish(queue: string, body: MessageBody, messageId: string): Promise<void>;
  /** Takes a message and never answers; resolves when it has one. */
  take(queue: string): Promise<Pick<Delivery, 'messageId' | 'attempt'>>;
  /** Ends it without a last word. */
  kill(): Promise<void>;
}

/** Names a promise, and checks it on a store of its own. */
export type Promised = (what: string, check: (subject: BrokerSubject) => Promise<void>) => void;

export const DONE: Verdict = { kind: 'done' };
export const NOTHING: QueueDepth = { waiting: 0, unacknowledged: 0, dead: 0 };
export const QUEUE = 'video';

export function consuming(options: Partial<ConsumeOptions> = {}): ConsumeOptions {
  return { prefetch: 1, maxAttempts: 3, backoffMs: () => 0, ...options };
}

export async function publishMany(broker: Broker, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `m${String(index)}`);
  for (const messageId of ids) await broker.publish(QUEUE, { messageId }, { messageId });
  return ids;
}

/** What depth() says; where the store does not tell what consumers hold, that from elsewhere. */
export async function depthOf(subject: BrokerSubject, broker: Broker): Promise<QueueDepth> {
  const depth = await broker.depth(QUEUE);
  if (subject.untold === undefined) return depth;
  assert.equal(depth.unacknowledged, undefined);
  const unacknowledged = await subject.untold.unacknowledged(QUEUE);
  // Two looks are not one: what moved in between would be seen twice or not at all.
  assert.deepEqual(await broker.depth(QUEUE), depth);
  return { ...depth, unacknowledged };
}

export async function untilDepth(
  subject: BrokerSubject,
  broker: Broker,
  expected: Partial<QueueDepth>,
  deadlineMs?: number,
): Promise<void> {
  await eventually(
    `depth ${JSON.stringify(expected)}`,
    async () => {
      assert.deepEqual(await depthOf(subject, broker), { ...NOTHING, ...expected });
      return true;
    },
    deadlineMs,
  );
}

export async function untilDead(broker: Broker, count: number): Promise<readonly DeadLetter[]> {
  return eventually(`${String(count)} dead letters`, async () => {
    const letters = await broker.deadLetters(QUEUE, 100);
    return letters.length === count && letters;
  });
}
