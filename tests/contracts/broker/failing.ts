import assert from 'node:assert/strict';
import { Inbox } from '../../support/inbox.ts';
import {
  consuming,
  DONE,
  NOTHING,
  publishMany,
  QUEUE,
  untilDead,
  untilDepth,
  type Promised,
} from './subject.ts';

export function crashing(promise: Promised): void {
  promise('a message of a process that is killed comes again, its attempt raised', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {}, { messageId: 'dangerous' });
    for (const attempt of [1, 2]) {
      const doomed = await subject.otherProcess();
      assert.deepEqual(await doomed.take(QUEUE), { messageId: 'dangerous', attempt });
      await doomed.kill();
    }
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming(), inbox.handler);
    const letter = await inbox.next();
    assert.deepEqual([letter.messageId, letter.attempt], ['dangerous', 3]);
  });

  promise(
    'a consumer that is already waiting gets the message of a process that is killed',
    async (subject) => {
      const broker = await subject.open();
      await broker.publish(QUEUE, {});
      const doomed = await subject.otherProcess();
      await doomed.take(QUEUE);
      const inbox = new Inbox();
      await broker.consume(QUEUE, consuming(), inbox.handler);
      await untilDepth(subject, broker, { unacknowledged: 1 });
      assert.equal(inbox.letters.length, 0);
      await doomed.kill();
      assert.equal((await inbox.next()).attempt, 2);
    },
  );

  promise('close() hands back what has no verdict, uncounted', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await publishMany(first, 3);
    const abandoned = new Inbox();
    await first.consume(QUEUE, consuming({ prefetch: 3 }), abandoned.handler);
    for (const _ of [1, 2, 3]) await abandoned.next();
    await first.close();
    assert.ok(abandoned.letters.every(({ signal }) => signal.aborted));
    const inbox = new Inbox();
    await second.consume(QUEUE, consuming({ prefetch: 3 }), inbox.handler);
    for (const _ of [1, 2, 3]) assert.equal((await inbox.next()).attempt, 1);
  });

  promise('a verdict that comes after close() has no effect', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await first.publish(QUEUE, {});
    const abandoned = new Inbox();
    await first.consume(QUEUE, consuming(), abandoned.handler);
    const late = await abandoned.next();
    await first.close();
    late.answer({ kind: 'reject', reason: 'too late' });
    const inbox = new Inbox();
    await second.consume(QUEUE, consuming(), inbox.handler);
    (await inbox.next()).answer(DONE);
    await untilDepth(subject, second, NOTHING);
  });
}

export function retrying(promise: Promised): void {
  promise('a retry waits for its back-off and holds up no other message', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 5);
    const inbox = new Inbox();
    const backoffMs = (attempt: number): number => attempt * 300;
    await broker.consume(QUEUE, consuming({ backoffMs }), inbox.handler);
    (await inbox.next()).answer({ kind: 'retry', reason: 'not now' });
    const failedAt = Date.now();
    for (const id of ['m1', 'm2', 'm3', 'm4']) {
      const letter = await inbox.next();
      assert.equal(letter.messageId, id);
      letter.answer(DONE);
    }
    const again = await inbox.next();
    assert.deepEqual([again.messageId, again.attempt], ['m0', 2]);
    assert.ok(again.arrivedAt - failedAt >= 299, `came after ${String(again.arrivedAt - failedAt)} ms`);
    again.answer({ kind: 'retry', reason: 'not now' });
    const secondFailedAt = Date.now();
    const last = await inbox.next();
    assert.equal(last.attempt, 3);
    assert.ok(
      last.arrivedAt - secondFailedAt >= 599,
      `came after ${String(last.arrivedAt - secondFailedAt)} ms`,
    );
  });

  promise('a retry waits for its back-off also where the consumer has room for it', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 1);
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 5, backoffMs: () => 500 }), inbox.handler);
    (await inbox.next()).answer({ kind: 'retry', reason: 'not now' });
    const failedAt = Date.now();
    for (const messageId of ['a', 'b']) await broker.publish(QUEUE, {}, { messageId });
    const letters = [await inbox.next(), await inbox.next(), await inbox.next()];
    assert.deepEqual(letters.map(({ messageId }) => messageId).sort(), ['a', 'b', 'm0']);
    const again = letters.find(({ messageId }) => messageId === 'm0');
    assert.ok(again !== undefined);
    assert.ok(again.arrivedAt - failedAt >= 499, `came after ${String(again.arrivedAt - failedAt)} ms`);
  });

  promise("a retry's own delay wins over the consumer's back-off", async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ backoffMs: () => 3_600_000 }), inbox.handler);
    (await inbox.next()).answer({ kind: 'retry', reason: 'soon', delayMs: 200 });
    const failedAt = Date.now();
    const again = await inbox.next();
    assert.equal(again.attempt, 2);
    assert.ok(again.arrivedAt - failedAt >= 199, `came after ${String(again.arrivedAt - failedAt)} ms`);
  });

  promise('a retry that does not count is never a dead letter', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ maxAttempts: 2 }), inbox.handler);
    for (let round = 0; round < 10; round++) {
      const letter = await inbox.next();
      assert.equal(letter.attempt, 1);
      letter.answer({ kind: 'retry', reason: 'the store is away', delayMs: 1, counted: false });
    }
    (await inbox.next()).answer(DONE);
    await untilDepth(subject, broker, NOTHING);
  });

  promise('a retry goes to whichever consumer is free', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await first.publish(QUEUE, {}, { messageId: 'moving' });
    const [busy, free] = [new Inbox(), new Inbox()];
    const consumer = await first.consume(QUEUE, consuming(), busy.handler);
    const letter = await busy.next();
    const stopped = consumer.stop(15_000);
    letter.answer({ kind: 'retry', reason: 'leaving', counted: false });
    await stopped;
    await second.consume(QUEUE, consuming(), free.handler);
    assert.equal((await free.next()).messageId, 'moving');
  });
}

export function dying(promise: Promised): void {
  promise('the last counted attempt makes a dead letter that says why', async (subject) => {
    const broker = await subject.open();
    const before = Date.now();
    await broker.publish(QUEUE, { a: [1] }, { messageId: 'hopeless' });
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ maxAttempts: 3 }), inbox.handler);
    for (const attempt of [1, 2, 3]) {
      const letter = await inbox.next();
      assert.equal(letter.attempt, attempt);
      letter.answer({ kind: 'retry', reason: `failure ${String(attempt)}`, delayMs: 1 });
    }
    const [dead] = await untilDead(broker, 1);
    assert.ok(dead !== undefined && dead.diedAt >= before && dead.diedAt <= Date.now());
    const { diedAt: _, ...rest } = dead;
    assert.deepEqual(rest, { messageId: 'hopeless', body: { a: [1] }, reason: 'failure 3', attempts: 3 });
    await untilDepth(subject, broker, { dead: 1 });
  });

  promise('reject makes a dead letter at once', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    await broker.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no sound' }));
    const [dead] = await untilDead(broker, 1);
    assert.deepEqual([dead?.reason, dead?.attempts], ['no sound', 1]);
    await untilDepth(subject, broker, { dead: 1 });
  });

  promise('a handler that throws has used an attempt and does not end the consumer', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {}, { messageId: 'bad' });
    const attempts: number[] = [];
    await broker.consume(QUEUE, consuming({ maxAttempts: 2 }), ({ attempt, messageId }) => {
      if (messageId === 'good') return Promise.resolve(DONE);
      attempts.push(attempt);
      if (attempt === 1) throw new Error('thrown');
      return Promise.reject(new Error('rejected'));
    });
    const [dead] = await untilDead(broker, 1);
    assert.deepEqual(attempts, [1, 2]);
    assert.match(dead?.reason ?? '', /rejected/);
    await broker.publish(QUEUE, {}, { messageId: 'good' });
    await untilDepth(subject, broker, { dead: 1 });
  });

  promise('replay() gives dead letters new attempts, all of them or those it is told', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 4);
    const failing = await broker.consume(QUEUE, consuming(), () =>
      Promise.resolve({ kind: 'reject', reason: 'no' }),
    );
    await untilDead(broker, 4);
    await failing.stop(15_000);
    assert.equal(await broker.replay(QUEUE, ['m1', 'nobody', 'm3']), 2);
    assert.equal(await broker.replay(QUEUE, ['nobody']), 0);
    assert.equal(await broker.replay(QUEUE, []), 0);
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming(), inbox.handler);
    const replayed = async (ids: readonly string[]): Promise<void> => {
      const found: string[] = [];
      while (found.length < ids.length) {
        const { messageId, body, attempt, answer } = await inbox.next();
        assert.deepEqual([body, attempt], [{ messageId }, 1]);
        found.push(messageId);
        answer(DONE);
      }
      assert.deepEqual(found.sort(), ids);
    };
    await replayed(['m1', 'm3']);
    assert.equal(await broker.replay(QUEUE), 2);
    await replayed(['m0', 'm2']);
    await untilDead(broker, 0);
  });

  promise('drop() forgets dead letters, all of them or those it is told', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 3);
    await broker.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no' }));
    await untilDead(broker, 3);
    assert.equal(await broker.drop(QUEUE, ['m1']), 1);
    assert.deepEqual(
      (await broker.deadLetters(QUEUE, 9)).map(({ messageId }) => messageId),
      ['m0', 'm2'],
    );
    assert.equal(await broker.drop(QUEUE), 2);
    await untilDepth(subject, broker, NOTHING);
  });

  promise('dead letters are told oldest first, as many as asked for', async (subject) => {
    const broker = await subject.open();
    const ids = await publishMany(broker, 5);
    await broker.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no' }));
    await untilDead(broker, 5);
    const told = await broker.deadLetters(QUEUE, 3);
    assert.deepEqual(
      told.map(({ messageId }) => messageId),
      ids.slice(0, 3),
    );
    assert.deepEqual(await broker.deadLetters('mp3', 3), []);
  });
}
