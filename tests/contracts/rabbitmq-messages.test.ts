import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import { hasCode } from '../../src/domain/errors.ts';
import type { DeadLetter } from '../../src/ports/broker.ts';
import { eventually } from '../support/eventually.ts';
import { Inbox } from '../support/inbox.ts';
import { rabbitMqFile, type RabbitMqStage } from '../support/rabbitmq-stage.ts';
import { consuming, DONE, publishMany, QUEUE, untilDead } from './broker/subject.ts';

const arrange = rabbitMqFile();
const limit = { timeout: 120_000 };

interface QueueFacts {
  readonly type: string;
  readonly durable: boolean;
  readonly arguments: Record<string, unknown>;
}

async function factsOf({ server, vhost }: RabbitMqStage, queue: string): Promise<QueueFacts> {
  return (await server.manage('GET', `/queues/${vhost}/${queue}`)) as QueueFacts;
}

test('fresh queues are durable quorum queues that never give a message up', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  await broker.publish(QUEUE, {});
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming(), inbox.handler);
  (await inbox.next()).answer({ kind: 'retry', reason: 'later', delayMs: 60_000 });
  await eventually('it waits', async () => (await broker.depth(QUEUE)).waiting === 1);
  for (const name of [QUEUE, `${QUEUE}.dead`, `audiowave.delay.${QUEUE}.64000`]) {
    const facts = await factsOf(stage, name);
    assert.equal(facts.type, 'quorum');
    assert.equal(facts.durable, true);
    assert.equal(facts.arguments['x-delivery-limit'], 2 ** 31 - 1);
  }
  const delaying = await factsOf(stage, `audiowave.delay.${QUEUE}.64000`);
  assert.equal(delaying.arguments['x-dead-letter-strategy'], 'at-least-once');
  assert.equal(delaying.arguments['x-overflow'], 'reject-publish');
});

test('a classic queue made by hand stays what it is', limit, async (t) => {
  const stage = await arrange(t);
  await stage.declare(QUEUE);
  const broker = await stage.open();
  await broker.publish(QUEUE, {});
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming(), inbox.handler);
  (await inbox.next()).answer(DONE);
  const { type, arguments: args } = await factsOf(stage, QUEUE);
  assert.deepEqual([type, args], ['classic', {}]);
});

test('a queue that was deleted by hand is made again: the message is stored', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  await broker.publish(QUEUE, { n: 1 });
  for (let round = 0; round < 5; round++) {
    await stage.server.manage('DELETE', `/queues/${stage.vhost}/${QUEUE}`);
    await Promise.all([broker.publish(QUEUE, { n: 2 }), broker.publish(QUEUE, { n: 3 })]);
    assert.equal((await broker.depth(QUEUE)).waiting, 2);
  }
});

for (const kind of ['quorum', 'classic']) {
  test(`a consumer whose queue is deleted makes it again and goes on (${kind})`, limit, async (t) => {
    const stage = await arrange(t);
    if (kind === 'classic') await stage.declare(QUEUE);
    // A quorum queue that is back within milliseconds never tells its consumers: only subscribing anew helps.
    const [broker, other] = [await stage.open({ idleRefreshMs: 500 }), await stage.open()];
    const inbox = new Inbox();
    await broker.consume(QUEUE, consuming(), inbox.handler);
    for (const id of ['one', 'two', 'three']) {
      await stage.server.manage('DELETE', `/queues/${stage.vhost}/${QUEUE}`);
      await other.publish(QUEUE, {}, { messageId: id });
      const letter = await inbox.next();
      assert.equal(letter.messageId, id);
      letter.answer(DONE);
    }
  });
}

test('subscribing anew loses nothing', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open({ idleRefreshMs: 5 });
  const seen = new Set<unknown>();
  await broker.consume(QUEUE, consuming({ prefetch: 3 }), ({ body }) => {
    seen.add(body.n);
    return Promise.resolve(DONE);
  });
  for (let n = 0; n < 100; n++) {
    await broker.publish(QUEUE, { n });
    await delay(n % 15);
  }
  await eventually('all are seen', () => seen.size === 100);
});

const MALFORMED: readonly (readonly [string, Buffer, RegExp])[] = [
  ['text', Buffer.from('hello'), /not JSON/],
  ['nothing', Buffer.alloc(0), /not JSON/],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), /not JSON/],
  ['an array', Buffer.from('[1, 2]'), /no object/],
  ['null', Buffer.from('null'), /no object/],
  ['a deep nest', Buffer.from('['.repeat(400_000) + ']'.repeat(400_000)), /no object|not JSON/],
  ['ten megabytes', Buffer.from(JSON.stringify({ long: 'x'.repeat(10_000_000) })), /bytes long/],
];

for (const contentType of [undefined, 'application/json', 'text/plain']) {
  test(
    `what is no JSON object is buried byte by byte (${contentType ?? 'no content type'})`,
    limit,
    async (t) => {
      const stage = await arrange(t);
      const broker = await stage.open();
      const inbox = new Inbox();
      await broker.consume(QUEUE, consuming(), inbox.handler);
      const properties = contentType === undefined ? {} : { contentType };
      for (const [, body] of MALFORMED) await stage.publishForeign(QUEUE, body, properties);
      await stage.publishForeign(QUEUE, '{"good": true}', properties);
      assert.deepEqual((await inbox.next()).body, { good: true });
      const letters = await untilDead(broker, MALFORMED.length);
      MALFORMED.forEach(([what, body, reason], index) => {
        const letter = letters[index];
        assert.match(letter?.reason ?? '', reason, what);
        assert.equal(letter?.body, undefined, what);
        assert.ok(letter?.raw !== undefined && body.equals(letter.raw), what);
        assert.equal(letter.attempts, 1);
      });
      assert.equal(inbox.letters.length, 1);
    },
  );
}

test("another program's message, three fields and nothing else, is one like ours", limit, async (t) => {
  const stage = await arrange(t);
  await stage.declare(QUEUE);
  const broker = await stage.open();
  const body = { video_fid: '0123456789abcdef01234567', mp3_fid: null, username: 'ann@example.com' };
  await stage.publishForeign(QUEUE, JSON.stringify(body));
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming({ maxAttempts: 2 }), inbox.handler);
  const first = await inbox.next();
  assert.deepEqual([first.body, first.attempt], [body, 1]);
  first.answer({ kind: 'retry', reason: 'not yet' });
  const second = await inbox.next();
  assert.deepEqual([second.body, second.attempt, second.messageId], [body, 2, first.messageId]);
  second.answer({ kind: 'retry', reason: 'never' });
  const [dead] = await untilDead(broker, 1);
  assert.deepEqual([dead?.body, dead?.messageId], [body, first.messageId]);
  assert.equal(await broker.replay(QUEUE, [first.messageId]), 1);
  assert.equal((await inbox.next()).attempt, 1);
});

test('headers of others travel on, those that the broker acts on do not', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  await broker.publish('elsewhere', {});
  const headers = { trace: 'abc', deep: { list: [1, 'two', true] }, CC: ['elsewhere'] };
  await broker.publish(QUEUE, {}, { messageId: 'first' });
  await stage.publishForeign(QUEUE, '{"n":12345678901234567890}', {
    headers,
    correlationId: 'c1',
    expiration: '60000',
    userId: stage.server.user,
    appId: 'theirs',
  });
  const sentTo = (await broker.depth('elsewhere')).waiting;
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming(), inbox.handler);
  (await inbox.next()).answer(DONE);
  (await inbox.next()).answer({ kind: 'retry', reason: 'again', delayMs: 10 });
  (await inbox.next()).answer({ kind: 'reject', reason: 'no' });
  await untilDead(broker, 1);
  assert.equal((await broker.depth('elsewhere')).waiting, sentTo);
  const [raw] = (await stage.server.manage('POST', `/queues/${stage.vhost}/${QUEUE}.dead/get`, {
    count: 1,
    ackmode: 'ack_requeue_true',
    encoding: 'auto',
  })) as { payload: string; properties: Record<string, unknown> & { headers: Record<string, unknown> } }[];
  assert.equal(raw?.payload, '{"n":12345678901234567890}');
  const { trace, deep, CC, 'x-audiowave-reason': reason } = raw.properties.headers;
  assert.deepEqual({ trace, deep, CC, reason }, { ...headers, CC: undefined, reason: 'no' });
  const { correlation_id: correlation, app_id: app, expiration, user_id: user } = raw.properties;
  assert.deepEqual([correlation, app, expiration, user], ['c1', 'theirs', undefined, undefined]);
});

test('headers that fill a frame do not hold a message', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  await broker.publish(QUEUE, {}, { messageId: 'first' });
  // Room for theirs, but not for ours besides.
  await stage.publishForeign(QUEUE, '{"n":1}', { headers: { big: 'x'.repeat(8_000) } });
  await broker.consume(QUEUE, consuming(), () =>
    Promise.resolve({ kind: 'reject', reason: 'y'.repeat(900) }),
  );
  const letters = await untilDead(broker, 2);
  assert.deepEqual(letters[1]?.body, { n: 1 });
});

test('a delay of several steps ends once, not before its time, and uses no attempt', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  await broker.publish(QUEUE, { n: 1 });
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming(), inbox.handler);
  for (const [attempt, delayMs] of [
    [1, 2_350],
    [2, 150],
    [3, 1],
  ] as const) {
    const letter = await inbox.next();
    assert.equal(letter.attempt, attempt);
    letter.answer({ kind: 'retry', reason: 'later', delayMs, counted: attempt < 3 });
    const failedAt = Date.now();
    const again = await eventually('it comes back', () => inbox.letters[attempt]);
    const waitedMs = again.arrivedAt - failedAt;
    assert.ok(
      waitedMs >= delayMs - 1 && waitedMs < delayMs + 2_000,
      `${String(delayMs)}: ${String(waitedMs)}`,
    );
  }
  assert.deepEqual(
    inbox.letters.map(({ attempt }) => attempt),
    [1, 2, 3, 3],
  );
});

test("dead letters that the broker's own rules made are told, too", limit, async (t) => {
  const stage = await arrange(t);
  await stage.declare(`${QUEUE}.dead`);
  await stage.declare(QUEUE, {
    'x-message-ttl': 1,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': `${QUEUE}.dead`,
  });
  const broker = await stage.open();
  const before = Date.now();
  await stage.publishForeign(QUEUE, '{"n":1}');
  const [dead] = (await untilDead(broker, 1)) as [DeadLetter];
  assert.deepEqual([dead.body, dead.reason], [{ n: 1 }, `expired in queue ${QUEUE}`]);
  assert.ok(Math.abs(dead.diedAt - before) < 60_000);
  assert.equal(await broker.drop(QUEUE, [dead.messageId]), 1);
});

test('looking at dead letters a hundred times loses none', limit, async (t) => {
  const broker = await (await arrange(t)).open();
  await publishMany(broker, 3);
  await broker.consume(QUEUE, consuming(), () => Promise.resolve({ kind: 'reject', reason: 'no' }));
  await untilDead(broker, 3);
  for (let look = 0; look < 100; look++) {
    const ids = (await broker.deadLetters(QUEUE, 10)).map(({ messageId }) => messageId);
    assert.deepEqual(ids, ['m0', 'm1', 'm2']);
  }
});

for (const kind of ['quorum', 'classic']) {
  test(`two consumers share 2,000 messages evenly (${kind})`, limit, async (t) => {
    const stage = await arrange(t);
    if (kind === 'classic') await stage.declare(QUEUE);
    const brokers = [await stage.open(), await stage.open()];
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let n = 0; n < 250; n++)
          await brokers[0]?.publish(QUEUE, { id: `${String(writer)}-${String(n)}` });
      }),
    );
    const seen = brokers.map(() => [] as unknown[]);
    await Promise.all(
      brokers.map((broker, index) =>
        broker.consume(QUEUE, consuming({ prefetch: 4 }), async ({ body }) => {
          seen[index]?.push(body.id);
          // The work itself: what takes no time can't be shared.
          await delay(5);
          return DONE;
        }),
      ),
    );
    await eventually('all are done', () => seen.flat().length >= 2_000, 60_000);
    assert.equal(new Set(seen.flat()).size, 2_000);
    const shares = seen.map(({ length }) => length);
    for (const share of shares) assert.ok(share > 700, `shares: ${shares.join(', ')}`);
  });
}

test('what RabbitMQ can not carry is refused for good', limit, async (t) => {
  const broker = await (await arrange(t)).open();
  const malformed = (error: unknown): boolean => hasCode(error, 'broker.malformed-message');
  await assert.rejects(broker.publish(QUEUE, { long: 'x'.repeat(134_217_728) }), malformed);
  await assert.rejects(broker.publish(QUEUE, {}, { messageId: 'x'.repeat(256) }), malformed);
});

test(
  'a queue that another program holds for itself makes the check fail until it lets go',
  limit,
  async (t) => {
    const stage = await arrange(t);
    await stage.declare(QUEUE);
    const other = new Connection(stage.url);
    t.after(() => other.close());
    const channel = await other.acquire();
    await channel.basicConsume({ queue: QUEUE, exclusive: true }, () => undefined);
    const broker = await stage.open();
    await broker.consume(QUEUE, consuming(), new Inbox().handler);
    await eventually('the check says so', async () => {
      await assert.rejects(broker.check(), /queue 'video' cannot be consumed: .*exclusive/);
      return true;
    });
    await channel.close();
    await eventually('the check passes', () => broker.check().then(() => true), 60_000);
  },
);
