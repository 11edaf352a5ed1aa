import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { rabbitMqFile, type RabbitMqStage } from '../support/rabbitmq-stage.ts';
import { consuming, DONE, untilDead } from './broker/subject.ts';

// The broker takes a message away after a minute, and looks once a minute; the adapter is told so and hands over
// after 20 s. All tests here wait out the same 150 s, at the same time.
const arrange = rabbitMqFile({ config: ['consumer_timeout = 60000'] });
const ackTimeoutMs = 60_000;
const LONG_MS = 150_000;
const together = { timeout: 240_000, concurrency: true };

/** The consumer side of a lease: who comes while somebody works on it waits uncounted, who comes after it is done. */
interface Work {
  running: number;
  most: number;
  ended: boolean;
  readonly attempts: number[];
}

async function workLong(stage: RabbitMqStage, queue: string, end: 'done' | 'reject'): Promise<Work> {
  const work: Work = { running: 0, most: 0, ended: false, attempts: [] };
  const brokers = [await stage.open({ ackTimeoutMs }), await stage.open({ ackTimeoutMs })];
  for (const broker of brokers) {
    await broker.consume(queue, consuming({ prefetch: 1, maxAttempts: 9 }), async ({ body, attempt }) => {
      if (body.short === true) return DONE;
      if (work.ended) return DONE;
      if (work.running > 0) return { kind: 'retry', reason: 'leased', delayMs: 4_000, counted: false };
      work.attempts.push(attempt);
      work.most = Math.max(work.most, ++work.running);
      await delay(LONG_MS);
      work.running--;
      work.ended = true;
      return end === 'done' ? DONE : { kind: 'reject', reason: 'it never worked' };
    });
  }
  return work;
}

test('deliveries that run longer than the broker waits', together, async (t) => {
  const stage = await arrange(t);
  await stage.declare('classic');
  const publisher = await stage.open();
  await publisher.publish('lost', {});
  const cases = [
    ['quorum', 'done'],
    ['classic', 'done'],
    ['rejected', 'reject'],
  ] as const;
  const works = new Map<string, Work>();
  for (const [queue, end] of cases) {
    await publisher.publish(queue, { long: true });
    works.set(queue, await workLong(stage, queue, end));
  }
  // Beside them, one whose adapter does not know that this broker is so impatient: the broker takes it away.
  let lostAttempt = 0;
  const stubborn = await stage.open({ ackTimeoutMs: 3_600_000 });
  await stubborn.consume('lost', consuming({ prefetch: 1 }), async ({ attempt }) => {
    lostAttempt = attempt;
    if (attempt === 1) await delay(LONG_MS);
    return DONE;
  });

  await t.test('a place that is taken by a handler gets no second message meanwhile', together, async () => {
    await delay(30_000);
    await publisher.publish('quorum', { short: true });
    await eventually('the other consumer has it', async () => (await publisher.depth('quorum')).waiting <= 1);
  });

  for (const [queue, end] of cases) {
    await t.test(`${queue}: it ends once, and nothing is lost or left`, together, async () => {
      const work = works.get(queue);
      assert.ok(work !== undefined);
      await eventually('it ended', () => work.ended, LONG_MS + 20_000);
      assert.equal(work.most, 1);
      assert.deepEqual(work.attempts, [1]);
      if (end === 'reject') {
        const letters = await eventually('it is dead', async () => {
          const found = await publisher.deadLetters(queue, 10);
          return found.length > 0 && found;
        });
        assert.deepEqual(
          letters.map(({ reason }) => reason),
          ['it never worked'],
        );
      }
      await eventually(
        'the copy came back and met a finished record',
        async () => {
          const { waiting, dead } = await publisher.depth(queue);
          assert.equal(dead, end === 'reject' ? 1 : 0);
          return waiting === 0 && (await stage.server.unacknowledged(stage.url, queue)) === 0;
        },
        60_000,
      );
    });
  }

  assert.equal(lostAttempt, 2, 'the broker is as impatient as this test believes');
  const complaints = stage.entries.filter(({ message }) => message.includes('cannot be consumed'));
  assert.ok(complaints.length <= 1, JSON.stringify(complaints));
  await untilDead(publisher, 0);
});
