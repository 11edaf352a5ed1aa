import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { hasCode } from '../../../src/domain/errors.ts';
import { Inbox } from '../../support/inbox.ts';
import {
  consuming,
  depthOf,
  DONE,
  NOTHING,
  publishMany,
  QUEUE,
  untilDead,
  untilDepth,
  type Promised,
} from './subject.ts';

export function stopping(promise: Promised): void {
  promise('stop() waits for what runs and takes no more', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await publishMany(first, 2);
    const [leaving, staying] = [new Inbox(), new Inbox()];
    const consumer = await first.consume(QUEUE, consuming(), leaving.handler);
    const running = await leaving.next();
    let stopped = false;
    const stop = consumer.stop(15_000).then(() => (stopped = true));
    // Somebody else comes, gets the rest, and ends with it: all that time the first one neither takes nor stops.
    await second.consume(QUEUE, consuming(), staying.handler);
    (await staying.next()).answer(DONE);
    await untilDepth(subject, second, { unacknowledged: 1 });
    assert.equal(stopped, false);
    assert.equal(running.signal.aborted, false);
    running.answer(DONE);
    await stop;
    await untilDepth(subject, second, NOTHING);
    assert.equal(leaving.letters.length, 1);
  });

  promise('stop() of a consumer that has nothing to do resolves, also a second time', async (subject) => {
    const broker = await subject.open();
    const inbox = new Inbox();
    const consumer = await broker.consume(QUEUE, consuming(), inbox.handler);
    await consumer.stop(3_600_000);
    await consumer.stop(3_600_000);
    await broker.publish(QUEUE, {});
    const other = new Inbox();
    await broker.consume(QUEUE, consuming(), other.handler);
    (await other.next()).answer(DONE);
    await untilDepth(subject, broker, NOTHING);
    assert.equal(inbox.letters.length, 0);
  });

  promise('stop() tells a handler whose time is over, and heeds its verdict', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>();
    const consumer = await broker.consume(QUEUE, consuming(), async ({ signal }) => {
      begin(undefined);
      await aborted(signal);
      return { kind: 'reject', reason: 'in time' };
    });
    await begun;
    await consumer.stop(20);
    const [dead] = await untilDead(broker, 1);
    assert.equal(dead?.reason, 'in time');
  });

  promise('a handler that throws because it was told to stop has used no attempt', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>();
    const consumer = await broker.consume(QUEUE, consuming({ maxAttempts: 1 }), async ({ signal }) => {
      begin(undefined);
      await aborted(signal);
      throw new Error('aborted');
    });
    await begun;
    await consumer.stop(20);
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming(), inbox.handler);
    assert.equal((await inbox.next()).attempt, 1);
  });

  promise(
    'stop() hands back, uncounted, what a handler never answers; a late verdict has no effect',
    async (subject) => {
      const broker = await subject.open();
      await broker.publish(QUEUE, {});
      const deaf = new Inbox();
      const consumer = await broker.consume(QUEUE, consuming(), deaf.handler);
      const late = await deaf.next();
      const began = Date.now();
      await consumer.stop(50);
      assert.ok(Date.now() - began < 10_000);
      assert.equal(late.signal.aborted, true);
      const inbox = new Inbox();
      await broker.consume(QUEUE, consuming(), inbox.handler);
      const again = await inbox.next();
      assert.equal(again.attempt, 1);
      late.answer({ kind: 'reject', reason: 'too late' });
      await nextTurn();
      again.answer(DONE);
      await untilDepth(subject, broker, NOTHING);
    },
  );

  promise('close() does not wait for the grace of a stop that is under way', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const deaf = new Inbox();
    const consumer = await broker.consume(QUEUE, consuming(), deaf.handler);
    await deaf.next();
    const stop = consumer.stop(3_600_000);
    await broker.close();
    await stop;
    const after = await subject.open();
    assert.deepEqual(await depthOf(subject, after), { ...NOTHING, waiting: 1 });
  });
}

export function lasting(promise: Promised): void {
  promise('messages and dead letters survive a restart', async (subject) => {
    const before = await subject.open();
    await before.publish(QUEUE, { n: 1 }, { messageId: 'dead' });
    await before.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no' }));
    await untilDead(before, 1);
    await before.close();
    const between = await subject.open();
    await between.publish(QUEUE, { n: 2 }, { messageId: 'waiting' });
    await between.close();
    const after = await subject.open();
    assert.deepEqual(await depthOf(subject, after), { ...NOTHING, waiting: 1, dead: 1 });
    assert.equal((await after.deadLetters(QUEUE, 10))[0]?.messageId, 'dead');
    const inbox = new Inbox();
    await after.consume(QUEUE, consuming(), inbox.handler);
    const letter = await inbox.next();
    assert.deepEqual([letter.messageId, letter.body], ['waiting', { n: 2 }]);
  });

  promise('a delayed retry survives a restart, its delay and its attempts', async (subject) => {
    const before = await subject.open();
    await before.publish(QUEUE, {});
    const first = new Inbox();
    await before.consume(QUEUE, consuming(), first.handler);
    (await first.next()).answer({ kind: 'retry', reason: 'later', delayMs: 1_000 });
    const failedAt = Date.now();
    await untilDepth(subject, before, { waiting: 1 });
    await before.close();
    const inbox = new Inbox();
    await (await subject.open()).consume(QUEUE, consuming(), inbox.handler);
    const again = await inbox.next();
    assert.equal(again.attempt, 2);
    assert.ok(again.arrivedAt - failedAt >= 999, `came after ${String(again.arrivedAt - failedAt)} ms`);
  });
}

export function answering(promise: Promised): void {
  promise('depth() counts the waiting, the delayed, the held and the dead', async (subject) => {
    const broker = await subject.open();
    assert.deepEqual(await depthOf(subject, broker), NOTHING);
    await publishMany(broker, 5);
    assert.deepEqual(await depthOf(subject, broker), { ...NOTHING, waiting: 5 });
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    (await inbox.next()).answer({ kind: 'reject', reason: 'no' });
    (await inbox.next()).answer({ kind: 'retry', reason: 'later', delayMs: 3_600_000 });
    await inbox.next();
    await inbox.next();
    await untilDepth(subject, broker, { waiting: 2, unacknowledged: 2, dead: 1 });
  });

  promise('a broker that answers passes its check; a closed one refuses everything', async (subject) => {
    const broker = await subject.open();
    await broker.check();
    await broker.close();
    await broker.close();
    const refused = (error: unknown): boolean => hasCode(error, 'broker.unavailable');
    await assert.rejects(broker.check(), refused);
    await assert.rejects(broker.publish(QUEUE, {}), refused);
    await assert.rejects(broker.consume(QUEUE, consuming(), new Inbox().handler), refused);
    await assert.rejects(broker.depth(QUEUE), refused);
    await assert.rejects(broker.deadLetters(QUEUE, 1), refused);
    await assert.rejects(broker.replay(QUEUE), refused);
    await assert.rejects(broker.drop(QUEUE), refused);
  });
}

async function aborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}
