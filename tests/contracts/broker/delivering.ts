import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { hasCode } from '../../../src/domain/errors.ts';
import type { Broker } from '../../../src/ports/broker.ts';
import { eventually } from '../../support/eventually.ts';
import { Inbox } from '../../support/inbox.ts';
import {
  consuming,
  depthOf,
  DONE,
  NOTHING,
  publishMany,
  QUEUE,
  untilDepth,
  type BrokerSubject,
  type Promised,
} from './subject.ts';

export function publishing(promise: Promised): void {
  promise('a message is stored when publish resolves: another instance has it', async (subject) => {
    const [publisher, other] = [await subject.open(), await subject.open()];
    await publisher.publish(QUEUE, { a: 1 });
    assert.deepEqual(await depthOf(subject, other), { ...NOTHING, waiting: 1 });
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
    assert.deepEqual(await depthOf(subject, broker), NOTHING);
  });

  promise('a body that is no JSON is refused for good', async (subject) => {
    const broker = await subject.open();
    await assert.rejects(broker.publish(QUEUE, { n: 1n }), (error) =>
      hasCode(error, 'broker.malformed-message'),
    );
    assert.deepEqual(await depthOf(subject, broker), NOTHING);
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

export function sharing(promise: Promised): void {
  promise('a message that is done is gone', async (subject) => {
    const broker = await subject.open();
    await broker.publish(QUEUE, {});
    await broker.consume(QUEUE, consuming(), () => Promise.resolve(DONE));
    await untilDepth(subject, broker, NOTHING);
  });

  promise('those that wait longest come first', async (subject) => {
    const broker = await subject.open();
    const ids = await publishMany(broker, 20);
    const seen: string[] = [];
    await broker.consume(QUEUE, consuming(), ({ messageId }) => {
      seen.push(messageId);
      return Promise.resolve(DONE);
    });
    await untilDepth(subject, broker, NOTHING);
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
    await eachOnce(subject, broker, [broker, broker]);
  });

  promise('each message goes to one of the consumers of two instances', async (subject) => {
    const [first, second] = [await subject.open(), await subject.open()];
    await eachOnce(subject, first, [first, second]);
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
      await untilDepth(subject, first, NOTHING, 90_000);
      assert.deepEqual(seen.flat().sort(), ids.sort());
      for (const mine of seen) assert.ok(mine.length >= 200, `a consumer had ${String(mine.length)} only`);
    },
  );
}

async function eachOnce(
  subject: BrokerSubject,
  publisher: Broker,
  consumers: readonly Broker[],
): Promise<void> {
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
  await untilDepth(subject, publisher, NOTHING);
  assert.deepEqual(seen.sort(), ids.sort());
}

export function limiting(promise: Promised): void {
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
    await untilDepth(subject, broker, NOTHING);
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
    assert.deepEqual(await depthOf(subject, broker), { waiting: 3, unacknowledged: 2, dead: 0 });
  });
}
