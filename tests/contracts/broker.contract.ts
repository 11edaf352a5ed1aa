import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { hasCode } from '../../src/domain/errors.ts';
import type { MessageBody } from '../../src/domain/messages.ts';
import type { Broker, ConsumeOptions, DeadLetter, Delivery, Verdict } from '../../src/ports/broker.ts';
import { eventually } from '../support/eventually.ts';
import { Inbox } from '../support/inbox.ts';

/** A store of messages under test, empty at first. */
export interface BrokerSubject {
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

const DONE: Verdict = { kind: 'done' };
const NOTHING = { waiting: 0, unacknowledged: 0, dead: 0 };
const QUEUE = 'video';

function consuming(options: Partial<ConsumeOptions> = {}): ConsumeOptions {
  return { prefetch: 1, maxAttempts: 3, backoffMs: () => 0, ...options };
}

async function publishMany(broker: Broker, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `m${String(index)}`);
  for (const messageId of ids) await broker.publish(QUEUE, { messageId }, { messageId });
  return ids;
}

async function untilDepth(broker: Broker, expected: object): Promise<void> {
  await eventually(`depth ${JSON.stringify(expected)}`, async () => {
    const depth = await broker.depth(QUEUE);
    assert.deepEqual(depth, expected);
    return true;
  });
}

async function untilDead(broker: Broker, count: number): Promise<readonly DeadLetter[]> {
  return eventually(`${String(count)} dead letters`, async () => {
    const letters = await broker.deadLetters(QUEUE, 100);
    return letters.length === count && letters;
  });
}

/** The promises of the Broker port; `arrange` makes an empty store for each test. */
export function brokerContract(name: string, arrange: (t: TestContext) => Promise<BrokerSubject>): void {
  const promise = (what: string, check: (subject: BrokerSubject) => Promise<void>): void => {
    test(`${name}: ${what}`, { timeout: 60_000 }, async (t) => {
      await check(await arrange(t));
    });
  };
  publishing(promise);
  sharing(promise);
  crashing(promise);
  retrying(promise);
  dying(promise);
  limiting(promise);
  stopping(promise);
  lasting(promise);
  answering(promise);
}

type Promised = (what: string, check: (subject: BrokerSubject) => Promise<void>) => void;

function publishing(promise: Promised): void {
  promise('a message is stored when publish resolves: another instance has it', async (subject) => {
    const [publisher, other] = [await subject.open(), await subject.open()];
    await publisher.publish(QUEUE, { a: 1 });
    assert.deepEqual(await other.depth(QUEUE), { ...NOTHING, waiting: 1 });
  });

  promise('a message outlives its publisher, killed when publish has resolved', async (subject) => {
    const other = await subject.otherProcess();
    await other.publish(QUEUE, { a: 1 }, 'kept');
    await other.kill();
    const inbox = new Inbox();
    await (await subject.open()).consume(QUEUE, consuming(), inbox.handler);
    assert.equal((await inbox.next()).messageId, 'kept');
  });

  promise('a body comes through unchanged, unknown fields included', async (subject) => {
    const broker = await subject.open();
    const body = {
      video_fid: '0123456789abcdef01234567',
      mp3_fid: null,
      username: 'ann@example.com',
      big: '123456789012345678901234567890',
      number: 9007199254740991,
      fraction: 0.1,
      text: 'Zoë "quoted" \\ \u0000 \u2028 日本語 🎵',
      'odd key ü': { deep: [1, [2, { three: [] }], false, null, {}] },
      empty: '',
    };
    await broker.publish(QUEUE, body, { messageId: 'whole' });
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming(), inbox.handler);
    const letter = await inbox.next();
    assert.equal(letter.messageId, 'whole');
    assert.deepEqual(letter.body, body);
    assert.equal(letter.attempt, 1);
  });

  promise('a message without an id gets one of its own', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    await broker.publish(QUEUE, {});
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    const ids = [(await inbox.next()).messageId, (await inbox.next()).messageId];
    assert.equal(new Set(ids).size, 2);
    assert.ok(ids.every((id) => id.length > 0));
  });

  promise('two messages of one id are both delivered', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, { n: 1 }, { messageId: 'same' });
    await broker.publish(QUEUE, { n: 2 }, { messageId: 'same' });
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    assert.deepEqual([(await inbox.next()).body, (await inbox.next()).body], [{ n: 1 }, { n: 2 }]);
  });

  promise('a publish that is aborted before it begins stores nothing', async (subject) => {
    const broker = await subject.open();
    await assert.rejects(broker.publish(QUEUE, {}, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    assert.deepEqual(await broker.depth(QUEUE), NOTHING);
  });

  promise('a body that is no JSON is refused for good', async (subject) => {
    const broker = await subject.open();
    await assert.rejects(broker.publish(QUEUE, { n: 1n }), (error) =>
      hasCode(error, 'broker.malformed-message'),
    );
    assert.deepEqual(await broker.depth(QUEUE), NOTHING);
  });

  promise('a consumer that waits is woken by a publish of this and of another process', async (subject) => {
    const broker = await subject.open();
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 9 }), inbox.handler);
    await broker.publish(QUEUE, {}, { messageId: 'mine' });
    assert.equal((await inbox.next()).messageId, 'mine');
    const other = await subject.otherProcess();
    await other.publish(QUEUE, {}, 'theirs');
    assert.equal((await inbox.next()).messageId, 'theirs');
  });
}

function sharing(promise: Promised): void {
  promise('a message that is done is gone', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    await broker.consume(QUEUE, consuming(), () => Promise.resolve(DONE));
    await untilDepth(broker, NOTHING);
  });

  promise('those that wait longest come first', async (subject) => {
    const broker = await subject.open();
    const ids = await publishMany(broker, 20);
    const seen: string[] = [];
    await broker.consume(QUEUE, consuming(), ({ messageId }) => {
      seen.push(messageId);
      return Promise.resolve(DONE);
    });
    await untilDepth(broker, NOTHING);
    assert.deepEqual(seen, ids);
  });

  promise('queues do not mix', async (subject) => {
    const broker = await subject.open();
    const [videos, mp3s] = [new Inbox(), new Inbox()];
    await broker.consume('video', consuming({ prefetch: 9 }), videos.handler);
    await broker.consume('mp3', consuming({ prefetch: 9 }), mp3s.handler);
    await broker.publish('mp3', {}, { messageId: 'sound' });
    await broker.publish('video', {}, { messageId: 'picture' });
    assert.equal((await mp3s.next()).messageId, 'sound');
    assert.equal((await videos.next()).messageId, 'picture');
    assert.equal(videos.letters.length + mp3s.letters.length, 2);
  });

  promise('each message goes to one of two consumers of a broker', async (subject) => {
    const broker = await subject.open();
    await eachOnce(broker, [broker, broker]);
  });

  promise('each message goes to one of the consumers of two instances', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await eachOnce(first, [first, second]);
  });

  promise(
    '1,000 messages go through two consumers, each once, and both have their share',
    async (subject) => {
      const [first, second] = [await subject.open(), await subject.open()];
      const ids = await publishMany(first, 1_000);
      const seen: string[][] = [];
      for (const broker of [first, second]) {
        const mine: string[] = [];
        seen.push(mine);
        await broker.consume(QUEUE, consuming({ prefetch: 10 }), async ({ messageId }) => {
          mine.push(messageId);
          await nextTurn();
          return DONE;
        });
      }
      await eventually(
        'all are done',
        async () => {
          assert.deepEqual(await first.depth(QUEUE), NOTHING);
          return true;
        },
        45_000,
      );
      assert.deepEqual(seen.flat().sort(), ids.sort());
      for (const mine of seen) assert.ok(mine.length >= 200, `a consumer had ${String(mine.length)} only`);
    },
  );
}

async function eachOnce(publisher: Broker, consumers: readonly Broker[]): Promise<void> {
  const seen: string[] = [];
  for (const broker of consumers) {
    await broker.consume(QUEUE, consuming({ prefetch: 3 }), async ({ messageId, attempt }) => {
      seen.push(messageId);
      await nextTurn();
      assert.equal(attempt, 1);
      return DONE;
    });
  }
  const ids = await publishMany(publisher, 100);
  await untilDepth(publisher, NOTHING);
  assert.deepEqual(seen.sort(), ids.sort());
}

function crashing(promise: Promised): void {
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
      await untilDepth(broker, { ...NOTHING, unacknowledged: 1 });
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
    await untilDepth(second, NOTHING);
  });
}

function retrying(promise: Promised): void {
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
    await untilDepth(broker, NOTHING);
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

function dying(promise: Promised): void {
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
    assert.deepEqual(await broker.depth(QUEUE), { ...NOTHING, dead: 1 });
  });

  promise('reject makes a dead letter at once', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    await broker.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no sound' }));
    const [dead] = await untilDead(broker, 1);
    assert.deepEqual([dead?.reason, dead?.attempts], ['no sound', 1]);
    assert.deepEqual(await broker.depth(QUEUE), { ...NOTHING, dead: 1 });
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
    await untilDepth(broker, { ...NOTHING, dead: 1 });
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

function limiting(promise: Promised): void {
  promise('a consumer runs as many deliveries as its prefetch, and never more', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 40);
    let [running, most] = [0, 0];
    await broker.consume(QUEUE, consuming({ prefetch: 4 }), async () => {
      running++;
      most = Math.max(most, running);
      // The first ones wait until the fourth is there.
      await eventually('four run', () => most >= 4);
      await nextTurn();
      running--;
      return DONE;
    });
    await untilDepth(broker, NOTHING);
    assert.equal(most, 4);
  });

  promise('a consumer holds no more of the queue than its prefetch', async (subject) => {
    const broker = await subject.open();
    await publishMany(broker, 6);
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    await inbox.next();
    (await inbox.next()).answer(DONE);
    await inbox.next();
    assert.deepEqual(await broker.depth(QUEUE), { waiting: 3, unacknowledged: 2, dead: 0 });
  });
}

function stopping(promise: Promised): void {
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
    await untilDepth(second, { ...NOTHING, unacknowledged: 1 });
    assert.equal(stopped, false);
    assert.equal(running.signal.aborted, false);
    running.answer(DONE);
    await stop;
    await untilDepth(second, NOTHING);
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
    await untilDepth(broker, NOTHING);
    assert.equal(inbox.letters.length, 0);
  });

  promise('stop() tells a handler whose time is over, and heeds its verdict', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const consumer = await broker.consume(QUEUE, consuming(), async ({ signal }) => {
      await aborted(signal);
      return { kind: 'reject', reason: 'in time' };
    });
    await untilDepth(broker, { ...NOTHING, unacknowledged: 1 });
    await consumer.stop(20);
    const [dead] = await untilDead(broker, 1);
    assert.equal(dead?.reason, 'in time');
  });

  promise('a handler that throws because it was told to stop has used no attempt', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    const consumer = await broker.consume(QUEUE, consuming({ maxAttempts: 1 }), async ({ signal }) => {
      await aborted(signal);
      throw new Error('aborted');
    });
    await untilDepth(broker, { ...NOTHING, unacknowledged: 1 });
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
      await untilDepth(broker, NOTHING);
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
    assert.deepEqual(await after.depth(QUEUE), { ...NOTHING, waiting: 1 });
  });
}

function lasting(promise: Promised): void {
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
    assert.deepEqual(await after.depth(QUEUE), { waiting: 1, unacknowledged: 0, dead: 1 });
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
    await untilDepth(before, { ...NOTHING, waiting: 1 });
    await before.close();
    const inbox = new Inbox();
    await (await subject.open()).consume(QUEUE, consuming(), inbox.handler);
    const again = await inbox.next();
    assert.equal(again.attempt, 2);
    assert.ok(again.arrivedAt - failedAt >= 999, `came after ${String(again.arrivedAt - failedAt)} ms`);
  });
}

function answering(promise: Promised): void {
  promise('depth() counts the waiting, the delayed, the held and the dead', async (subject) => {
    const broker = await subject.open();
    assert.deepEqual(await broker.depth(QUEUE), NOTHING);
    await publishMany(broker, 5);
    assert.deepEqual(await broker.depth(QUEUE), { ...NOTHING, waiting: 5 });
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    (await inbox.next()).answer({ kind: 'reject', reason: 'no' });
    (await inbox.next()).answer({ kind: 'retry', reason: 'later', delayMs: 3_600_000 });
    await inbox.next();
    await inbox.next();
    await untilDepth(broker, { waiting: 2, unacknowledged: 2, dead: 1 });
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
  });
}

async function aborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}
