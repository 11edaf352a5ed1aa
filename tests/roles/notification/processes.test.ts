import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import type { Mail } from '../../../src/domain/mail.ts';
import type { MessageBody } from '../../../src/domain/messages.ts';
import type { Broker, Handler } from '../../../src/ports/broker.ts';
import { startNotification } from '../../../src/services/notification/notification.ts';
import { eventually } from '../../support/eventually.ts';
import {
  announce,
  found,
  neighbour,
  NOTIFICATION_OPTIONS,
  notificationStage,
  settled,
  storeFailed,
  storeReady,
  type NotificationStage,
} from '../../support/notification-stage.ts';

/**
 * Every mail that a process hands to the mail server, repeats of one Message-ID included. A mail is on its way until many
 * others have asked for one meanwhile.
 */
function watchSends(...stages: NotificationStage[]): Mail[] {
  const sends: Mail[] = [];
  let asked = 0;
  for (const { mailer, outbox, conversions, records } of stages) {
    conversions.intercept('find', (id) => {
      asked += 1;
      return records.find(id);
    });
    mailer.intercept('send', async (mail, options) => {
      sends.push(mail);
      const before = asked;
      await eventually('others have asked for a mail', () => asked > before + 20 || sends.length > 9);
      await outbox.send(mail, options);
    });
  }
  return sends;
}

test('two processes and 200 deliveries of ten conversions: one mail each', async (t) => {
  const first = await notificationStage(t);
  const second = await neighbour(t, first);
  const sends = watchSends(first, second);
  const conversions = [];
  for (let i = 0; i < 5; i += 1) conversions.push(await storeReady(first), await storeFailed(first));
  for (const conversion of conversions) for (let i = 0; i < 20; i += 1) await announce(first, conversion);
  await settled(first);
  assert.equal(sends.length, conversions.length);
  assert.equal(new Set(sends.map(({ messageId }) => messageId)).size, conversions.length);
  for (const { id } of conversions) {
    const { mail, mailLease } = await found(first, id);
    assert.deepEqual([mail, mailLease], ['sent', null]);
  }
  for (const queue of ['mp3', 'audiowave.failed']) {
    assert.deepEqual(await first.broker.deadLetters(queue, 10), []);
  }
});

test('a process that dies over a mail: another sends it when the lease is over, not before, with the same id', async (t) => {
  const leaseMs = 400;
  const first = await notificationStage(t, { leaseMs });
  const handed: Mail[] = [];
  first.mailer.intercept('send', (mail) => {
    handed.push(mail);
    return new Promise(() => undefined);
  });
  const ready = await storeReady(first);
  await announce(first, ready);
  await eventually('it is being sent', () => handed.length === 1);
  const until = (await found(first, ready.id)).mailLease?.until ?? 0;
  assert.ok(until > Date.now() && until <= Date.now() + leaseMs);
  first.broker.crash();
  const second = await neighbour(t, first, { leaseMs });
  let sentAt = 0;
  second.mailer.intercept('send', async (mail) => {
    sentAt = Date.now();
    await second.outbox.send(mail);
  });
  await settled(second);
  assert.ok(sentAt >= until, 'the lease was respected');
  assert.deepEqual(
    second.outbox.sent.map(({ messageId }) => messageId),
    [handed[0]?.messageId],
  );
  assert.equal((await found(second, ready.id)).mail, 'sent');
  const attempts = second.log.entries.filter(({ message }) => message === 'mail not sent');
  assert.deepEqual(attempts, [], 'waiting for a lease is no failure');
});

test('a send that failed gives the mail free at once', async (t) => {
  const first = await notificationStage(t);
  first.mailer.breakWith(new AudiowaveError('mail.unavailable'));
  const ready = await storeReady(first);
  await announce(first, ready);
  await eventually('it was tried', () =>
    first.log.entries.some(({ message }) => message === 'mail not sent'),
  );
  const second = await neighbour(t, first);
  const began = Date.now();
  await eventually('the other process sends it', () => second.outbox.sent.length === 1);
  assert.ok(Date.now() - began < 10_000, 'long before the lease of a minute would be over');
  await settled(second);
});

test('a mail server that never answers is given up before the lease ends', async (t) => {
  const leaseMs = 300;
  const stage = await notificationStage(t, { leaseMs });
  const leftMs: number[] = [];
  stage.mailer.intercept('send', async (mail, options = {}) => {
    if (leftMs.length > 0) return stage.outbox.send(mail);
    await eventually('it is told to stop', () => options.signal?.aborted);
    const { mailLease } = (await stage.records.list(mail.to, { limit: 1 })).conversions[0] ?? {};
    leftMs.push((mailLease?.until ?? 0) - Date.now());
    return options.signal?.throwIfAborted();
  });
  await announce(stage, await storeReady(stage));
  await settled(stage);
  assert.equal(stage.outbox.sent.length, 1);
  assert.ok((leftMs[0] ?? 0) > 0, `${String(leftMs[0])} ms were left`);
});

/** Notification whose deliveries the test makes itself. */
async function handlers(stage: NotificationStage): Promise<Map<string, Handler>> {
  const map = new Map<string, Handler>();
  const broker: Pick<Broker, 'consume'> = {
    consume: (queue, _options, handler) => {
      map.set(queue, handler);
      return Promise.resolve({ stop: () => Promise.resolve() });
    },
  };
  const { conversions, mp3s, mailer, log } = stage;
  const deps = { conversions: conversions.port, mp3s, mailer: mailer.port, log, broker: broker as Broker };
  await startNotification(deps, NOTIFICATION_OPTIONS);
  return map;
}

test('the last attempt that counts makes a dead letter, and its record owes no mail any more', async (t) => {
  const stage = await notificationStage(t);
  const ready = await storeReady(stage);
  stage.mailer.breakWith(new Error('a defect'));
  const handle = (await handlers(stage)).get('mp3');
  const body: MessageBody = { video_fid: ready.id, mp3_fid: ready.mp3Fid, username: ready.owner };
  const deliver = (attempt: number): ReturnType<Handler> | undefined =>
    handle?.({ messageId: 'm', body, attempt, signal: new AbortController().signal });
  assert.deepEqual(await deliver(19), { kind: 'retry', reason: 'internal.error: a defect' });
  assert.equal((await found(stage, ready.id)).mail, 'due');
  assert.deepEqual(await deliver(20), { kind: 'reject', reason: 'internal.error: a defect' });
  assert.equal((await found(stage, ready.id)).mail, 'refused');
  assert.deepEqual(await deliver(1), { kind: 'done' });
});

test('the last attempt waits for the records where they are away', async (t) => {
  const stage = await notificationStage(t);
  const ready = await storeReady(stage);
  stage.mailer.intercept('send', () => {
    stage.conversions.breakWith(new AudiowaveError('store.unavailable'));
    return Promise.reject(new Error('a defect'));
  });
  const handle = (await handlers(stage)).get('mp3');
  const body: MessageBody = { video_fid: ready.id, mp3_fid: ready.mp3Fid, username: ready.owner };
  const verdict = await handle?.({ messageId: 'm', body, attempt: 20, signal: new AbortController().signal });
  assert.deepEqual([verdict?.kind, verdict?.kind === 'retry' && verdict.counted], ['retry', false]);
});

test('a mail server that asks for patience gets it', async (t) => {
  const stage = await notificationStage(t);
  const ready = await storeReady(stage);
  stage.mailer.breakWith(new AudiowaveError('mail.unavailable', undefined, { retryAfterSeconds: 60 }));
  const handle = (await handlers(stage)).get('mp3');
  const body: MessageBody = { video_fid: ready.id, mp3_fid: ready.mp3Fid, username: ready.owner };
  const verdict = await handle?.({ messageId: 'm', body, attempt: 1, signal: new AbortController().signal });
  assert.deepEqual(verdict, { kind: 'retry', reason: 'mail.unavailable', delayMs: 60_000, counted: false });
});
