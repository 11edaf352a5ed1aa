import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newConversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId } from '../../../src/domain/ids.ts';
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

test('a mail that is refused for good is marked so, and its message is a dead letter', async (t) => {
  const stage = await notificationStage(t);
  stage.outbox.failWith(new AudiowaveError('mail.refused', undefined, { detail: '550 no such user' }));
  const conversions = [await storeReady(stage), await storeFailed(stage)];
  for (const conversion of conversions) await announce(stage, conversion);
  await settled(stage);
  for (const { id } of conversions) assert.equal((await found(stage, id)).mail, 'refused');
  for (const queue of ['mp3', 'audiowave.failed']) {
    const dead = await stage.broker.deadLetters(queue, 10);
    assert.deepEqual(
      dead.map(({ reason }) => reason),
      ['mail.refused: 550 no such user'],
    );
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

test('records away right after the mail: it is noted later, and not sent again', async (t) => {
  const stage = await notificationStage(t);
  const failed = await storeFailed(stage);
  const sends = countSends(stage, () => {
    stage.conversions.breakWith(new AudiowaveError('store.unavailable'));
    return Promise.resolve();
  });
  await announce(stage, failed);
  await triedInVain(stage);
  stage.conversions.mend();
  await settled(stage);
  assert.equal(sends(), 1);
  assert.equal((await found(stage, failed.id)).mail, 'sent');
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
  const [id, mp3Fid] = [mintFileId(), mintFileId()];
  await announce(stage, { id, mp3Fid, owner: 'bob@example.com' });
  await settled(stage);
  const [mail] = stage.outbox.sent;
  assert.equal(mail?.to, 'bob@example.com');
  assert.ok(mail.text.includes(`mp3 file_id: ${mp3Fid} is now ready!`));
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
  const mp3Fid = mintFileId();
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
  await announce(stage, { id: mintFileId(), mp3Fid: null, owner: OWNER });
  const removed = await storeReady(stage, { mp3RemovedAt: Date.now() });
  await announce(stage, removed);
  await settled(stage);
  assert.deepEqual(stage.outbox.sent, []);
  assert.equal((await found(stage, failed.id)).state, 'failed');
  assert.equal((await found(stage, removed.id)).mail, 'none', 'nothing is owed any more');
  for (const queue of ['mp3', 'audiowave.failed']) {
    assert.deepEqual(await stage.broker.deadLetters(queue, 10), []);
  }
});

test('a malformed message is a dead letter, and the next one is handled', async (t) => {
  const stage = await notificationStage(t);
  const bodies = [{}, { video_fid: mintFileId(), mp3_fid: null, username: OWNER }, { video_fid: 1 }];
  for (const body of bodies) await stage.broker.publish('mp3', body);
  await mailOf(stage, await storeReady(stage));
  await settled(stage);
  const dead = await stage.broker.deadLetters('mp3', 10);
  assert.deepEqual(
    dead.map(({ body }) => body),
    bodies,
  );
  for (const { reason } of dead) assert.match(reason, /^broker\.malformed-message: /);
});
