import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SqliteBroker, type SqliteBrokerOptions } from '../../src/adapters/sqlite/broker.ts';
import { hasCode, type AudiowaveError } from '../../src/domain/errors.ts';
import { BrokerProcess } from '../support/broker-process.ts';
import { eventually } from '../support/eventually.ts';
import { killStorm } from '../support/broker-storm.ts';
import { Inbox } from '../support/inbox.ts';
import { tempFolder } from '../support/temp.ts';

const HOUR_MS = 3_600_000;
const ONE = { prefetch: 1, maxAttempts: 3, backoffMs: () => 0 };
const NOTHING = { waiting: 0, unacknowledged: 0, dead: 0 };

/** A file of queues, its brokers and processes, and a look into it; all closed after the test. */
async function queuesFile(t: TestContext) {
  const closing: (() => unknown)[] = [];
  t.after(() => Promise.all(closing.map((close) => close())));
  const path = join(await tempFolder(t), 'queues.sqlite');
  return {
    path,
    open(options?: SqliteBrokerOptions): SqliteBroker {
      const broker = SqliteBroker.open(path, options);
      closing.push(() => broker.close());
      return broker;
    },
    async start(options?: SqliteBrokerOptions): Promise<BrokerProcess> {
      const process = await BrokerProcess.start(path, options);
      closing.push(() => process.kill());
      return process;
    },
    look(): DatabaseSync {
      const database = new DatabaseSync(path, { timeout: 5_000 });
      closing.push(() => {
        database.close();
      });
      return database;
    },
    owners: () => readdir(`${path}-owners`),
  };
}

async function untilDone(broker: SqliteBroker): Promise<void> {
  await eventually('nothing is left', async () => {
    assert.deepEqual(await broker.depth('video'), NOTHING);
    return true;
  });
}

test('the messages of a killed process come back at once, however long its lease', async (t) => {
  const file = await queuesFile(t);
  const doomed = await file.start({ leaseMs: HOUR_MS });
  await doomed.publish('video', {}, 'm');
  await doomed.take('video');
  await doomed.kill();
  const after = file.open();
  assert.deepEqual(await after.depth('video'), { ...NOTHING, waiting: 1 });
});

test('a killed process leaves no owner behind', async (t) => {
  const file = await queuesFile(t);
  const doomed = await file.start();
  await doomed.publish('video', {}, 'm');
  await doomed.take('video');
  assert.equal((await file.owners()).length, 1);
  await doomed.kill();
  await file.open().close();
  assert.deepEqual(await file.owners(), []);
  assert.deepEqual(file.look().prepare('SELECT * FROM owner').all(), []);
});

test('a lock that nobody holds and nobody knows is swept when it is old', async (t) => {
  const file = await queuesFile(t);
  const holder = file.open();
  await holder.consume('video', ONE, new Inbox().handler);
  const [held = ''] = await file.owners();
  const longAgo = new Date(Date.now() - HOUR_MS);
  for (const name of ['old', 'young']) await writeFile(join(`${file.path}-owners`, name), '');
  for (const name of ['old', held]) await utimes(join(`${file.path}-owners`, name), longAgo, longAgo);
  file.open();
  assert.deepEqual((await file.owners()).sort(), [held, 'young'].sort());
});

test('a process that hangs loses its message when its lease ends, and its late verdict has no effect', async (t) => {
  const file = await queuesFile(t);
  const hanging = await file.start({ leaseMs: 400, renewLeaseMs: 50 });
  await hanging.publish('video', {}, 'm');
  await hanging.take('video');
  hanging.child.kill('SIGSTOP');
  const broker = file.open({ reapMs: 20 });
  const inbox = new Inbox();
  await broker.consume('video', ONE, inbox.handler);
  const letter = await inbox.next('the message of the process that hangs');
  assert.equal(letter.attempt, 2);
  hanging.child.kill('SIGCONT');
  await hanging.hears('aborted');
  await hanging.asks({ do: 'answer-done' }, 'answered');
  assert.deepEqual(await broker.depth('video'), { ...NOTHING, unacknowledged: 1 });
  letter.answer({ kind: 'done' });
  await untilDone(broker);
});

test('a verdict on a message that was lost unnoticed has no effect, not even where the same owner has it again', async (t) => {
  const file = await queuesFile(t);
  const forgetful = file.open({ leaseMs: 50, renewLeaseMs: HOUR_MS, pollMs: 20 });
  const other = file.open({ reapMs: 20, pollMs: 20 });
  const [mine, theirs] = [new Inbox(), new Inbox()];
  await forgetful.consume('video', { ...ONE, prefetch: 2 }, mine.handler);
  // The renewal at the start is over, and the next one is an hour away.
  await forgetful.publish('video', {}, { messageId: 'first' });
  (await mine.next()).answer({ kind: 'done' });
  await untilDone(forgetful);
  await forgetful.publish('video', {}, { messageId: 'm' });
  const lost = await mine.next();
  await other.consume('video', ONE, theirs.handler);
  assert.equal((await theirs.next()).attempt, 2);
  await other.close();
  const again = await mine.next();
  assert.equal(lost.signal.aborted, false);
  lost.answer({ kind: 'reject', reason: 'too late' });
  await nextTurn();
  assert.deepEqual(await forgetful.depth('video'), { ...NOTHING, unacknowledged: 1 });
  again.answer({ kind: 'done' });
  await untilDone(forgetful);
});

test('a delivery that runs longer than the lease stays where it is', async (t) => {
  const file = await queuesFile(t);
  const working = await file.start({ leaseMs: 300, renewLeaseMs: 50, pollMs: 20 });
  await working.publish('video', {}, 'm');
  await working.take('video');
  const broker = file.open({ reapMs: 20, pollMs: 20 });
  const inbox = new Inbox();
  await broker.consume('video', ONE, inbox.handler);
  const lease = file.look().prepare('SELECT max(lease_until) AS until FROM owner WHERE pid = ?');
  const until = (): number => Number(lease.get(working.child.pid ?? 0)?.until);
  const first = until();
  await eventually('the lease is renewed', () => until() > first + 900);
  assert.equal(inbox.letters.length, 0);
  assert.deepEqual(await broker.depth('video'), { ...NOTHING, unacknowledged: 1 });
});

test('several processes can make the file at the same time', async (t) => {
  const file = await queuesFile(t);
  const processes = await Promise.all(Array.from({ length: 5 }, () => file.start()));
  await Promise.all(processes.map((process, index) => process.publish('video', {}, `m${String(index)}`)));
  assert.deepEqual(await file.open().depth('video'), { ...NOTHING, waiting: 5 });
});

test('a process ends by itself after close(), and leaves no owner behind', async (t) => {
  const file = await queuesFile(t);
  const process = await file.start();
  await process.publish('video', {}, 'm');
  await process.take('video');
  await process.asks({ do: 'close' }, 'closed');
  assert.equal(await process.exitCode(), 0);
  assert.deepEqual(await file.owners(), []);
  assert.deepEqual(file.look().prepare('SELECT owner, attempt FROM message').get()?.attempt, 0);
});

test('a file that takes no write for a while ends neither the consumer nor a verdict', async (t) => {
  const file = await queuesFile(t);
  const errors: AudiowaveError[] = [];
  const broker = file.open({ onError: (error) => errors.push(error) });
  const look = file.look();
  const inbox = new Inbox();
  await broker.publish('video', {}, { messageId: 'm' });
  look.exec(`CREATE TRIGGER full BEFORE UPDATE ON message BEGIN SELECT RAISE(ABORT, 'disk is full'); END`);
  await broker.consume('video', ONE, inbox.handler);
  await eventually('two failures to take', () => errors.length >= 2);
  look.exec('DROP TRIGGER full');
  const letter = await inbox.next();
  assert.equal(letter.attempt, 1);

  look.exec(`CREATE TRIGGER full BEFORE DELETE ON message BEGIN SELECT RAISE(ABORT, 'disk is full'); END`);
  const before = errors.length;
  letter.answer({ kind: 'done' });
  await eventually('two failures to settle', () => errors.length >= before + 2);
  look.exec('DROP TRIGGER full');
  await untilDone(broker);
  assert.equal(inbox.letters.length, 1);
  assert.ok(errors.every((error) => hasCode(error, 'broker.unavailable')));
  assert.match(errors[0]?.detail ?? '', /disk is full/);
});

test('a message that stop() could not hand back comes free later, uncounted', async (t) => {
  const file = await queuesFile(t);
  const broker = file.open({ renewLeaseMs: 20, pollMs: 20 });
  await broker.publish('video', {});
  const deaf = new Inbox();
  const consumer = await broker.consume('video', ONE, deaf.handler);
  await deaf.next();
  const look = file.look();
  look.exec(`CREATE TRIGGER full BEFORE UPDATE ON message BEGIN SELECT RAISE(ABORT, 'disk is full'); END`);
  await consumer.stop(0);
  look.exec('DROP TRIGGER full');
  const inbox = new Inbox();
  await broker.consume('video', ONE, inbox.handler);
  assert.equal((await inbox.next()).attempt, 1);
});

test('a message that could not be stored is not published', async (t) => {
  const file = await queuesFile(t);
  const broker = file.open();
  file
    .look()
    .exec(`CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'disk is full'); END`);
  await assert.rejects(broker.publish('video', {}), (error) => {
    assert.ok(hasCode(error, 'broker.unavailable'));
    assert.match(error.detail ?? '', /disk is full/);
    return error.retryable;
  });
  assert.deepEqual(await broker.depth('video'), NOTHING);
});

test('a file that is no database is told as an unavailable broker', async (t) => {
  const file = await queuesFile(t);
  await writeFile(
    file.path,
    'This is not a database, and long enough to be told from an empty file.'.repeat(20),
  );
  assert.throws(
    () => file.open(),
    (error) => hasCode(error, 'broker.unavailable'),
  );
});

test('nothing that was published is lost when a publishing and consuming process is killed ten times', async (t) => {
  const file = await queuesFile(t);
  const report = await killStorm(file.path, 10);
  assert.deepEqual(report.lost, []);
  assert.equal(report.dead, 0);
  assert.ok(report.published > 10 && report.finished > 10, JSON.stringify(report));
  assert.deepEqual(await file.owners(), []);
});
