import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import type { AudiowaveError } from '../../src/domain/errors.ts';
import { hasCode } from '../../src/domain/errors.ts';
import { eventually } from '../support/eventually.ts';
import { Inbox } from '../support/inbox.ts';
import { rabbitMqFile, type RabbitMqStage } from '../support/rabbitmq-stage.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { freePort } from '../support/servers/server-process.ts';
import { consuming, DONE, QUEUE } from './broker/subject.ts';

// One test after another: they share the server that they take away.
const arrange = rabbitMqFile();
const limit = { timeout: 180_000 };
const isAway = (error: unknown): error is AudiowaveError => hasCode(error, 'broker.unavailable');

/** What the log says about the broker going and coming. */
function outagesOf({ entries }: Pick<RabbitMqStage, 'entries'>): string[] {
  return entries.map(({ message }) => message).filter((line) => line.startsWith('RabbitMQ at'));
}

for (const kind of ['quorum', 'classic']) {
  test(
    `what was confirmed outlives the broker's SIGKILL, and is consumed after it (${kind})`,
    limit,
    async (t) => {
      const stage = await arrange(t);
      if (kind === 'classic') await stage.declare(QUEUE);
      // As in use: a queue is killed with its node only when it is a second old.
      const use = { settleMs: 1_000 };
      const [publisher, consumer] = [await stage.open(use), await stage.open(use)];
      const [confirmed, seen] = [new Set<number>(), new Set<unknown>()];
      await consumer.consume(QUEUE, consuming({ prefetch: 4 }), async ({ body }) => {
        seen.add(body.n);
        await delay(1);
        return DONE;
      });
      let [next, refused, isOver] = [0, 0, false];
      t.after(() => (isOver = true));
      const storm = Promise.all(
        Array.from({ length: 8 }, async () => {
          while (!isOver) {
            const n = next++;
            try {
              await publisher.publish(QUEUE, { n });
              confirmed.add(n);
            } catch (error) {
              assert.ok(isAway(error));
              refused++;
            }
          }
        }),
      );
      for (const _ of [1, 2]) {
        const before = confirmed.size;
        await eventually('the storm rages', () => confirmed.size > before + 500, 60_000);
        await stage.server.kill();
        await stage.server.restart();
      }
      const before = confirmed.size;
      await eventually('it goes on', () => confirmed.size > before + 100, 60_000);
      isOver = true;
      await storm;
      await eventually(
        'all that was confirmed is seen',
        () => [...confirmed].every((n) => seen.has(n)),
        60_000,
      );
      t.diagnostic(`${String(confirmed.size)} confirmed, ${String(refused)} refused`);
      // Two brokers, two outages: each says once that it began and once that it ended, and two that follow each other at
      // once may be one.
      const counted = await eventually('each outage ended', () => {
        const lines = outagesOf(stage);
        const away = lines.filter((line) => line.includes('is away')).length;
        return lines.filter((line) => line.endsWith('is back')).length === away && away;
      });
      assert.ok(counted >= 2 && counted <= 4, outagesOf(stage).join('\n'));
    },
  );
}

test('a broker low on memory ends a publish in time; acknowledgements go on', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  const inbox = new Inbox();
  await broker.publish(QUEUE, { n: 1 });
  await broker.consume(QUEUE, consuming(), inbox.handler);
  const letter = await inbox.next();
  await stage.server.control('set_vm_memory_high_watermark', '0');
  try {
    const began = Date.now();
    for (let n = 0; n < 3; n++) {
      await assert.rejects(broker.publish(QUEUE, { n: 2 }, { signal: AbortSignal.timeout(1_000) }), isAway);
    }
    await assert.rejects(broker.publish(QUEUE, { n: 2 }), isAway);
    assert.ok(Date.now() - began < 20_000);
    await assert.rejects(broker.check(), /low on memory or disk/);
    letter.answer(DONE);
    await eventually('it is gone', async () => (await stage.server.unacknowledged(stage.url, QUEUE)) === 0);
  } finally {
    await stage.server.control('set_vm_memory_high_watermark', '0.6');
  }
  await eventually('it takes messages again', () => broker.check().then(() => true));
  await broker.publish(QUEUE, { n: 3 });
  await eventually('it arrives', () => inbox.letters.some(({ body }) => body.n === 3 || body.n === 2));
});

test(
  'a connection that is closed by force is made again; the message comes to a free place',
  limit,
  async (t) => {
    const stage = await arrange(t);
    const broker = await stage.open();
    const inbox = new Inbox();
    await broker.publish(QUEUE, {}, { messageId: 'held' });
    await broker.consume(QUEUE, consuming({ prefetch: 2 }), inbox.handler);
    const first = await inbox.next();
    await stage.server.control('close_all_connections', '-p', stage.vhost, 'by force');
    const again = await inbox.next();
    assert.deepEqual([again.messageId, again.attempt], ['held', 2]);
    // The first one lost its message; what it says has no effect.
    first.answer({ kind: 'reject', reason: 'too late' });
    again.answer(DONE);
    await broker.publish(QUEUE, {}, { messageId: 'next' });
    (await inbox.next()).answer(DONE);
    assert.equal((await broker.depth(QUEUE)).dead, 0);
  },
);

test('a handler that outlives its connection takes no second place', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open();
  const inbox = new Inbox();
  await broker.publish(QUEUE, {});
  await broker.consume(QUEUE, consuming({ prefetch: 1 }), inbox.handler);
  const first = await inbox.next();
  await stage.server.control('close_all_connections', '-p', stage.vhost, 'by force');
  await eventually('the connection is back', () => outagesOf(stage).some((line) => line.endsWith('is back')));
  await broker.publish(QUEUE, {});
  assert.equal((await broker.depth(QUEUE)).waiting, 2);
  assert.equal(inbox.letters.length, 1);
  first.answer(DONE);
  for (const _ of [1, 2]) (await inbox.next()).answer(DONE);
});

test('a broker that comes later: everything begins by itself, and the log says so once', limit, async (t) => {
  const stage = await arrange(t);
  await (await stage.open({ settleMs: 1_000 })).publish(QUEUE, {}, { messageId: 'early' });
  await stage.server.kill();
  const log = recordedLog();
  const broker = await RabbitMqBroker.open(stage.url, { log });
  t.after(() => broker.close());
  const inbox = new Inbox();
  const began = Date.now();
  const consumer = await broker.consume(QUEUE, consuming(), inbox.handler);
  assert.ok(Date.now() - began < 5_000, 'consume() waits for nobody');
  await assert.rejects(
    broker.check(),
    /^AudiowaveError: RabbitMQ at amqp:\/\/127\.0\.0\.1:\d+\/test-\w+: .*ECONNREFUSED/,
  );
  await assert.rejects(broker.depth(QUEUE), isAway);
  await assert.rejects(broker.publish(QUEUE, {}, { signal: AbortSignal.timeout(100) }), isAway);
  const idle = await RabbitMqBroker.open(stage.url, { log: recordedLog() });
  await idle.close();
  await stage.server.restart();
  assert.equal((await inbox.next()).messageId, 'early');
  inbox.letters[0]?.answer(DONE);
  // Messages come over one connection; the other may be a moment later.
  await eventually('the check passes', () => broker.check().then(() => true));
  assert.deepEqual(
    outagesOf(log).map((line) => (line.endsWith('is back') ? 'back' : 'away')),
    ['away', 'back'],
  );
  await consumer.stop(1_000);
});

test('close() while the broker is away ends soon', limit, async (t) => {
  const stage = await arrange(t);
  const broker = await stage.open({ settleMs: 1_000 });
  await broker.publish(QUEUE, {});
  const inbox = new Inbox();
  await broker.consume(QUEUE, consuming(), inbox.handler);
  await inbox.next();
  await stage.server.kill();
  const began = Date.now();
  await broker.close();
  assert.ok(Date.now() - began < 10_000);
  await stage.server.restart();
});

test('a wrong password or virtual host is said in one line, without the password', limit, async (t) => {
  const { server } = await arrange(t);
  const address = `127.0.0.1:${String(server.port)}`;
  for (const [url, reason] of [
    [`amqp://${server.user}:s3cret-wrong@${address}/`, /access refused for user 'audiowave'$/],
    [`amqp://${server.user}:${server.password}@${address}/nowhere`, /vhost nowhere not found$/],
  ] as const) {
    const log = recordedLog();
    const broker = await RabbitMqBroker.open(url, { log });
    t.after(() => broker.close());
    await broker.consume(QUEUE, consuming(), new Inbox().handler);
    const error = await broker.check().then(
      () => undefined,
      (refusal: unknown) => refusal,
    );
    assert.ok(isAway(error));
    assert.match(error.message, reason);
    const lines = outagesOf(log);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0] ?? '', reason);
    const told = JSON.stringify([log.entries, error, error.detail, error.stack]);
    for (const secret of ['s3cret-wrong', server.password]) assert.ok(!told.includes(secret));
  }
});

test('an address that is none is refused at once', async () => {
  const log = recordedLog();
  const port = String(await freePort());
  for (const url of [
    'amqp:',
    `amqp://127.0.0.1:${port}`,
    'amqp://u:p@',
    'http://u:p@host/',
    'amqp://%E0%A4:p@host/',
  ]) {
    await assert.rejects(RabbitMqBroker.open(url, { log }), (error) => hasCode(error, 'config.invalid'), url);
  }
});
