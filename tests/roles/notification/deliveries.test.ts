import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newConversion, type Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
import { FAILED_QUEUE, type MessageBody } from '../../../src/domain/messages.ts';
import { announcementId } from '../../../src/flow/announce.ts';
import { eventually } from '../../support/eventually.ts';
import {
  announce,
  found,
  mailOf,
  notificationStage,
  OWNER,
  settled,
  storeFailed,
  storeForeignMp3,
  storeReady,
  type NotificationStage,
} from '../../support/notification-stage.ts';

/** Counts the calls of send(), repeats of one Message-ID included. */
function countSends(
  stage: NotificationStage,
  before: () => Promise<void> = () => Promise.resolve(),
): () => number {
  let count = 0;
  stage.mailer.intercept('send', async (mail, options) => {
    count += 1;
    await before();
    await stage.outbox.send(mail, options);
  });
  return () => count;
}

/** Waits until the mailer has refused several times. */
async function triedInVain({ log }: NotificationStage): Promise<void> {
  await eventually(
    'it was tried several times',
    () => log.entries.filter(({ message }) => message === 'mail not sent').length > 25,
  );
}

test('a mail that was sent is not sent again when its message comes again', async (t) => {
  const stage = await notificationStage(t);
  const sends = countSends(stage);
  for (const conversion of [await storeReady(stage), await storeFailed(stage)]) {
    await mailOf(stage, conversion);
    await settled(stage);
    assert.equal((await found(stage, conversion.id)).mail, 'sent');
    await announce(stage, conversion);
    await settled(stage);
  }
  assert.equal(sends(), 2);
});

test('two announcements of one conversion at the same time send one mail', async (t) => {
  const stage = await notificationStage(t);
  const release = Promise.withResolvers<undefined>();
  const sends = countSends(stage, async () => {
    await release.promise;
  });
  const ready = await storeReady(stage);
  await announce(stage, ready);
  await announce(stage, ready);
  await eventually('one is being sent, and the other waits', async () => {
    const { waiting, unacknowledged } = await stage.broker.depth('mp3');
    return sends() === 1 && waiting === 1 && unacknowledged === 1;
  });
  release.resolve(undefined);
  await settled(stage);
  assert.equal(sends(), 1);
});

test('a mail server that is away costs no attempt; the mail is sent once, with one link for all tries', async (t) => {
  const stage = await notificationStage(t);
  stage.outbox.failWith(new AudiowaveError('mail.unavailable'));
  const ready = await storeReady(stage, { links: [{ tokenHash: 'of its owner', expiresAt: Infinity }] });
  await announce(stage, ready);
  await triedInVain(stage);
  assert.equal((await found(stage, ready.id)).mail, 'due');
  stage.outbox.failWith(undefined);
  await settled(stage);
  assert.equal(stage.outbox.sent.length, 1);
  const after = await found(stage, ready.id);
  assert.equal(after.mail, 'sent');
  assert.deepEqual([after.links.length, after.links[0]?.tokenHash], [2, 'of its owner']);
  assert.deepEqual(await stage.broker.deadLetters('mp3', 10), []);
});

test('a mail that is refused for good is marked so, with the reason in the log, and is not tried again', async (t) => {
  const stage = await notificationStage(t);
  stage.outbox.failWith(new AudiowaveError('mail.refused', undefined, { detail: '550 no such user' }));
  const conversions = [await storeReady(stage), await storeFailed(stage)];
  for (const conversion of conversions) await announce(stage, conversion);
  await settled(stage);
  stage.outbox.failWith(undefined);
  for (const conversion of conversions) {
    assert.equal((await found(stage, conversion.id)).mail, 'refused');
    await announce(stage, conversion);
  }
  await settled(stage);
  assert.deepEqual(stage.outbox.sent, []);
  const reasons = stage.log.entries.filter(({ message }) => message === 'mail refused for good');
  assert.deepEqual(
    reasons.map(({ fields }) => fields.reason),
    ['550 no such user', '550 no such user'],
  );
  for (const queue of ['mp3', 'audiowave.failed']) {
    assert.deepEqual(await stage.broker.deadLetters(queue, 10), []);
  }
});

test('records away before the mail: it waits, and is sent once', async (t) => {
  const stage = await notificationStage(t);
  const ready = await storeReady(stage);
  stage.conversions.breakWith(new AudiowaveError('store.unavailable'));
  await announce(stage, ready);
  await triedInVain(stage);
  stage.conversions.mend();
  await settled(stage);
  assert.equal(stage.outbox.sent.length, 1);
  assert.deepEqual(await stage.broker.deadLetters('mp3', 10), []);
});

/** Takes the records away in the moment in which a mail is out, and waits until that is noticed. */
async function sentButNotNoted(stage: NotificationStage, conversion: Conversion): Promise<() => number> {
  const sends = countSends(stage, () => {
    stage.conversions.breakWith(new AudiowaveError('store.unavailable'));
    return Promise.resolve();
  });
  await announce(stage, conversion);
  await eventually('the mail is out', () =>
    stage.log.entries.some(({ message }) => message === 'mail sent, and not noted yet; trying again'),
  );
  return sends;
}

test('records away right after the mail: it is held until that is noted, and not sent again', async (t) => {
  const stage = await notificationStage(t);
  const failed = await storeFailed(stage);
  const sends = await sentButNotNoted(stage, failed);
  assert.deepEqual(await stage.broker.depth(FAILED_QUEUE), { waiting: 0, unacknowledged: 1, dead: 0 });
  stage.conversions.mend();
  await settled(stage);
  assert.equal(sends(), 1);
  assert.equal((await found(stage, failed.id)).mail, 'sent');
});

test('a mail that is out is not sent again by this process, though its delivery was lost', async (t) => {
  const stage = await notificationStage(t, { leaseMs: 100 });
  const failed = await storeFailed(stage);
  const sends = countSends(stage);
  let away = true;
  stage.conversions.intercept('update', (id, change) =>
    stage.records.update(id, (current) => {
      const changed = change(current);
      if (away && changed?.mail === 'sent') throw new AudiowaveError('store.unavailable');
      return changed;
    }),
  );
  const notNoted = (): number =>
    stage.log.entries.filter(({ message }) => message === 'mail sent, and not noted yet; trying again')
      .length;
  await announce(stage, failed);
  await eventually('the mail is out', () => notNoted() === 1);
  await eventually('its lease has run out', async () => {
    const { mailLease } = await found(stage, failed.id);
    return mailLease !== null && mailLease.until < Date.now();
  });
  // As after a reconnection to the broker: the message comes once more, and the first delivery is still being handled.
  await announce(stage, failed);
  await eventually('the second delivery is held, too', () => notNoted() === 2);
  away = false;
  await settled(stage);
  assert.equal(sends(), 1);
});

test('a drain gives back a mail that is out and could not be noted', async (t) => {
  const stage = await notificationStage(t);
  await sentButNotNoted(stage, await storeFailed(stage));
  await stage.role.stop(0);
  assert.deepEqual(await stage.broker.depth(FAILED_QUEUE), { waiting: 1, unacknowledged: 0, dead: 0 });
});

test('a drain hands back what is being sent, uncounted', async (t) => {
  const stage = await notificationStage(t);
  stage.mailer.intercept('send', async (_mail, options = {}) => {
    await eventually('the send is told to stop', () => options.signal?.aborted);
    throw new Error('aborted');
  });
  await announce(stage, await storeReady(stage));
  await eventually('it is being sent', async () => (await stage.broker.depth('mp3')).unacknowledged === 1);
  await stage.role.stop(0);
  assert.deepEqual(await stage.broker.depth('mp3'), { waiting: 1, unacknowledged: 0, dead: 0 });
  const attempts: number[] = [];
  const limits = { prefetch: 1, maxAttempts: 1, backoffMs: () => 0 };
  await stage.broker.consume('mp3', limits, ({ attempt }) => {
    attempts.push(attempt);
    return Promise.resolve({ kind: 'done' });
  });
  await settled(stage);
  assert.deepEqual(attempts, [1]);
});

test('an mp3 message of another implementation, without a record, makes one that is ready, and a mail', async (t) => {
  const stage = await notificationStage(t);
  const [id, mp3Fid] = [mintFileId(), await storeForeignMp3(stage)];
  await announce(stage, { id, mp3Fid, owner: 'bob@example.com' });
  await settled(stage);
  const [mail] = stage.outbox.sent;
  assert.equal(mail?.to, 'bob@example.com');
  assert.ok(mail.text.includes(`mp3 file_id: ${mp3Fid} is now ready!`));
  assert.match(mail.text, /^Size: 6 B$/m);
  const made = await found(stage, id);
  assert.deepEqual(
    [made.state, made.mp3Fid, made.owner, made.source.kind, made.mail, made.links.length],
    ['ready', mp3Fid, 'bob@example.com', 'foreign', 'sent', 1],
  );
});

test('an announcement of ours whose record its owner has removed makes no new one, and no mail', async (t) => {
  const stage = await notificationStage(t);
  const [id, mp3Fid] = [mintFileId(), mintFileId()];
  const body = { video_fid: id, mp3_fid: mp3Fid, username: OWNER };
  await stage.broker.publish('mp3', body, { messageId: announcementId('mp3', id) });
  await settled(stage);
  assert.equal(await stage.conversions.port.find(id), undefined);
  assert.deepEqual(stage.outbox.sent, []);
});

test('a converter of another implementation: the queued record of ours becomes ready', async (t) => {
  const stage = await notificationStage(t);
  const [state, source, now] = ['queued', { kind: 'upload' }, Date.now()] as const;
  const id = mintFileId();
  const fields = { id, owner: OWNER, state, name: 'talk.mp4', source, lease: null, now };
  const unpublished = [{ announcement: 'video', since: now }] as const;
  await stage.conversions.port.create({ ...newConversion(fields), unpublished });
  const mp3Fid = await storeForeignMp3(stage);
  // The address of the record counts, not that of the message.
  await announce(stage, { id, mp3Fid, owner: 'eve@example.com' });
  await settled(stage);
  const after = await found(stage, id);
  assert.deepEqual([after.state, after.mp3Fid, after.mail, after.unpublished], ['ready', mp3Fid, 'sent', []]);
  assert.deepEqual(
    stage.outbox.sent.map(({ to, text }) => [to, text.includes('File: talk.mp4')]),
    [[OWNER, true]],
  );
});

test('a message about a conversion that has not ended so, or is gone, sends nothing', async (t) => {
  const stage = await notificationStage(t);
  const failed = await storeFailed(stage);
  await announce(stage, { ...failed, mp3Fid: mintFileId() });
  const ready = await storeReady(stage);
  await announce(stage, { ...ready, mp3Fid: null });
  const gone = mintFileId();
  const body = { video_fid: gone, mp3_fid: null, username: OWNER };
  await stage.broker.publish(FAILED_QUEUE, body, { messageId: announcementId('failed', gone) });
  const removed = await storeReady(stage, { mp3RemovedAt: Date.now() });
  await announce(stage, removed);
  await settled(stage);
  assert.deepEqual(stage.outbox.sent, []);
  assert.equal((await found(stage, failed.id)).state, 'failed');
  assert.equal((await found(stage, removed.id)).mail, 'none', 'nothing is owed any more');
  for (const queue of ['mp3', FAILED_QUEUE]) {
    assert.deepEqual(await stage.broker.deadLetters(queue, 10), []);
  }
});

test('a message that can never become a mail is a dead letter with its reason, and the next one is handled', async (t) => {
  const stage = await notificationStage(t);
  const [video, mp3] = [mintFileId(), await storeForeignMp3(stage)];
  const bad: [string, MessageBody, RegExp][] = [
    ['mp3', {}, /^broker\.malformed-message: /],
    ['mp3', { video_fid: video, mp3_fid: null, username: OWNER }, /^broker\.malformed-message: /],
    ['mp3', { video_fid: 1 }, /^broker\.malformed-message: /],
    ['mp3', { video_fid: video, mp3_fid: mp3, username: 'nobody' }, /^user\.invalid-email: /],
    ['mp3', { video_fid: video, mp3_fid: mp3, username: 'x'.repeat(1e7) }, /^user\.invalid-email: /],
    ['mp3', { video_fid: video, mp3_fid: mintFileId(), username: OWNER }, /^file\.unknown: /],
    [FAILED_QUEUE, { username: OWNER }, /^broker\.malformed-message: /],
    [FAILED_QUEUE, { video_fid: mintFileId(), username: OWNER }, /^conversion\.unknown: /],
  ];
  for (const [queue, body] of bad) await stage.broker.publish(queue, body);
  await mailOf(stage, await storeReady(stage));
  await mailOf(stage, await storeFailed(stage));
  await settled(stage);
  const dead = [
    ...(await stage.broker.deadLetters('mp3', 10)),
    ...(await stage.broker.deadLetters(FAILED_QUEUE, 10)),
  ];
  assert.equal(dead.length, bad.length);
  for (const [i, [, body, reason]] of bad.entries()) {
    const letter = dead[i];
    assert.ok(letter);
    assert.deepEqual(letter.body, body);
    assert.match(letter.reason, reason);
  }
  assert.equal(await stage.records.find(video), undefined, 'no record was made');
});
