import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONVERSION_STATES,
  LEGAL_MOVES,
  acceptForeign,
  addLink,
  cancel,
  checkMove,
  claim,
  enqueue,
  fail,
  finish,
  handBack,
  hasEnded,
  isLeased,
  markPublished,
  renew,
  reviveAbandoned,
  settleMail,
  type Conversion,
  type ConversionState,
} from '../../src/domain/conversion.ts';
import { sweepKeys } from '../../src/domain/conversion-record.ts';
import { forget, isForgotten } from '../../src/domain/forgotten.ts';
import { FAILURE, LATER, NOW, OWES_VIDEO, RESULT, lease, record } from '../support/conversion-record.ts';
import { mintFileId } from '../../src/domain/ids.ts';

test('exactly the moves of the table are legal, and staying is', () => {
  for (const from of CONVERSION_STATES) {
    for (const to of CONVERSION_STATES) {
      const move = (): void => {
        checkMove(from, to);
      };
      if (from === to || LEGAL_MOVES[from].includes(to)) assert.doesNotThrow(move, `${from} → ${to}`);
      else assert.throws(move, { code: 'conversion.illegal-move' }, `${from} → ${to}`);
    }
  }
});

test('ready, failed and cancelled are the ends; nothing leads back to uploading or fetching', () => {
  const ended = CONVERSION_STATES.filter((state) => hasEnded(record(state)));
  assert.deepEqual(ended, ['ready', 'failed', 'cancelled']);
  assert.deepEqual([LEGAL_MOVES.ready, LEGAL_MOVES.failed, LEGAL_MOVES.cancelled], [[], ['queued'], []]);
  for (const state of CONVERSION_STATES) {
    assert.ok(!LEGAL_MOVES[state].includes('uploading') && !LEGAL_MOVES[state].includes('fetching'));
  }
});

test('every change leads from every state either to a legal state or nowhere', () => {
  const changes: Record<string, (c: Conversion) => Conversion | undefined> = {
    enqueue: (c) => enqueue(c, 'holder', { bytes: 1, name: null }, NOW),
    markPublished: (c) => markPublished(c, 'video'),
    claim: (c) => claim(c, lease('other'), LATER + 1),
    renew: (c) => renew(c, lease('holder'), 0.5, NOW),
    handBack: (c) => handBack(c, 'holder', true, NOW),
    reviveAbandoned: (c) => reviveAbandoned(c, LATER + 1),
    finish: (c) => finish(c, 'holder', RESULT, NOW),
    acceptForeign: (c) => acceptForeign(c, RESULT.mp3Fid, NOW),
    fail: (c) => fail(c, 'holder', FAILURE, NOW),
    failByNobody: (c) => fail(c, null, FAILURE, LATER + 1),
    cancel: (c) => cancel(c, NOW),
    addLink: (c) => addLink(c, { tokenHash: 'aa', expiresAt: LATER }, NOW),
    settleMail: (c) => settleMail(c, 'sent'),
  };
  for (const [name, change] of Object.entries(changes)) {
    for (const state of CONVERSION_STATES) {
      const before = Object.freeze(record(state, { unpublished: OWES_VIDEO }));
      const after = change(before);
      if (after === undefined) continue;
      assert.doesNotThrow(() => {
        checkMove(before.state, after.state);
      }, `${name} of ${state}`);
      assert.equal(after.endedAt !== null, hasEnded(after), `${name} of ${state}: endedAt`);
      if (hasEnded(after)) assert.equal(after.lease, null, `${name} of ${state}: lease`);
      if (after.state === 'queued') assert.equal(after.lease, null, `${name} of ${state}: lease`);
    }
  }
});

test('a new record is version 1 and owes nothing', () => {
  const fresh = record('queued');
  assert.equal(fresh.version, 1);
  assert.deepEqual([fresh.attempts, fresh.unpublished, fresh.mail], [0, [], 'none']);
  assert.deepEqual([fresh.createdAt, fresh.updatedAt, fresh.endedAt], [NOW, NOW, null]);
});

test('enqueue() queues a whole video, lets go of it and owes its announcement', () => {
  for (const state of ['uploading', 'fetching'] as const) {
    const queued = enqueue(record(state), 'holder', { bytes: 9, name: null }, NOW + 1);
    assert.ok(queued);
    assert.deepEqual([queued.state, queued.videoBytes, queued.lease], ['queued', 9, null]);
    assert.equal(queued.name, 'talk.mp4', 'a name that is known stays');
    assert.deepEqual(queued.unpublished, [{ announcement: 'video', since: NOW + 1 }]);
  }
  const named = enqueue(record('fetching'), 'holder', { bytes: 9, name: 'new.mp4' }, NOW);
  assert.equal(named?.name, 'new.mp4');
});

test('enqueue() loses where another holds the upload, and where it was cancelled or swept', () => {
  assert.equal(enqueue(record('uploading'), 'other', { bytes: 9, name: null }, NOW), undefined);
  for (const state of ['queued', 'converting', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(enqueue(record(state), 'holder', { bytes: 9, name: null }, NOW), undefined, state);
  }
});

test('claim() of a queued record begins an attempt', () => {
  const claimed = claim(record('queued', { progress: 0.5 }), lease('one'), NOW + 1);
  assert.ok(claimed);
  assert.deepEqual([claimed.state, claimed.attempts, claimed.progress], ['converting', 1, null]);
  assert.deepEqual([claimed.lease, claimed.startedAt], [lease('one'), NOW + 1]);
});

test('claim() takes over the moment a lease has run out, not before, not even by its own holder', () => {
  const running = record('converting', { attempts: 1 });
  for (const holder of ['other', 'holder']) {
    assert.equal(claim(running, lease(holder), LATER - 1), undefined, holder);
    const taken = claim(running, lease(holder, LATER + 99), LATER);
    assert.deepEqual([taken?.lease?.holder, taken?.attempts], [holder, 2]);
  }
});

test('claim() loses in every other state', () => {
  for (const state of ['uploading', 'fetching', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(claim(record(state), lease('one'), LATER + 1), undefined, state);
  }
});

test('isLeased() is about anybody, until the lease has run out', () => {
  const running = record('converting');
  assert.deepEqual([isLeased(running, NOW), isLeased(running, LATER)], [true, false]);
  assert.equal(isLeased(record('queued'), NOW), false);
});

test('renew() prolongs the own lease and keeps the progress where none is known', () => {
  for (const state of ['uploading', 'fetching', 'converting'] as const) {
    const renewed = renew(record(state, { progress: 0.25 }), lease('holder', LATER + 9), null, NOW + 1);
    assert.deepEqual([renewed?.lease?.until, renewed?.progress, renewed?.state], [LATER + 9, 0.25, state]);
  }
  assert.equal(renew(record('converting'), lease('holder'), 0.5, NOW)?.progress, 0.5);
});

test('renew() loses where the lease went to another, the work was handed back, or the owner cancelled', () => {
  assert.equal(renew(record('converting'), lease('other'), 0.5, NOW), undefined);
  assert.equal(renew(record('queued'), lease('holder'), 0.5, NOW), undefined);
  const cancelled = cancel(record('converting'), NOW);
  assert.ok(cancelled);
  assert.equal(renew(cancelled, lease('holder'), 0.5, NOW), undefined);
});

test('handBack() queues again and gives an uncounted attempt back', () => {
  const running = record('converting', { attempts: 2, progress: 0.5 });
  const counted = handBack(running, 'holder', true, NOW);
  assert.deepEqual(
    [counted?.state, counted?.attempts, counted?.lease, counted?.progress],
    ['queued', 2, null, null],
  );
  assert.equal(handBack(running, 'holder', false, NOW)?.attempts, 1);
  assert.equal(handBack({ ...running, attempts: 0 }, 'holder', false, NOW)?.attempts, 0);
});

test('handBack() loses where another holds the work or it has moved on', () => {
  assert.equal(handBack(record('converting'), 'other', true, NOW), undefined);
  for (const state of ['uploading', 'fetching', 'queued', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(handBack(record(state), 'holder', true, NOW), undefined, state);
  }
});

test('reviveAbandoned() queues and announces again once the lease has run out, and not before', () => {
  const running = record('converting', { attempts: 1, unpublished: OWES_VIDEO });
  assert.equal(reviveAbandoned(running, LATER - 1), undefined);
  const revived = reviveAbandoned(running, LATER);
  assert.deepEqual([revived?.state, revived?.lease, revived?.attempts], ['queued', null, 1]);
  assert.deepEqual(revived?.unpublished, [{ announcement: 'video', since: LATER }], 'owed once, since now');
  for (const state of ['uploading', 'fetching', 'queued', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(reviveAbandoned(record(state), LATER + 1), undefined, state);
  }
});

test('finish() makes ready with the MP3 in the same step, and owes the announcement and a mail', () => {
  const ready = finish(record('converting', { drafts: [RESULT.mp3Fid] }), 'holder', RESULT, NOW + 1);
  assert.ok(ready);
  assert.deepEqual(
    [ready.state, ready.mp3Fid, ready.progress, ready.lease],
    ['ready', RESULT.mp3Fid, 1, null],
  );
  assert.deepEqual([ready.mail, ready.endedAt, ready.drafts], ['due', NOW + 1, []]);
  assert.deepEqual(ready.unpublished, [{ announcement: 'mp3', since: NOW + 1 }]);
});

test('finish() loses where the lease was lost or the conversion has ended', () => {
  assert.equal(finish(record('converting'), 'other', RESULT, NOW), undefined);
  for (const state of ['uploading', 'fetching', 'queued', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(finish(record(state), 'holder', RESULT, NOW), undefined, state);
  }
  const taken = claim(record('converting'), lease('other', LATER + 99), LATER);
  assert.ok(taken);
  assert.equal(
    finish(taken, 'holder', RESULT, LATER + 1),
    undefined,
    'the slow one loses to the one that took over',
  );
  assert.ok(finish(taken, 'other', RESULT, LATER + 1));
});

test('a holder whose lease ran out unnoticed may still finish', () => {
  assert.ok(finish(record('converting'), 'holder', RESULT, LATER + 1));
});

test('acceptForeign() takes the MP3 of another implementation for a record that nobody here works on', () => {
  const ready = acceptForeign(record('queued'), RESULT.mp3Fid, NOW + 1);
  assert.deepEqual([ready?.state, ready?.mp3Fid, ready?.mail], ['ready', RESULT.mp3Fid, 'due']);
  assert.deepEqual([ready?.mp3Bytes, ready?.durationMs], [null, null]);
  for (const state of ['uploading', 'fetching', 'converting', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(acceptForeign(record(state), RESULT.mp3Fid, NOW), undefined, state);
  }
  const taken = acceptForeign(record('converting'), RESULT.mp3Fid, LATER);
  assert.deepEqual(
    [taken?.state, taken?.lease],
    ['ready', null],
    'the converter here was not heard of any more',
  );
});

test('forget() takes a record from its owner in every state, and keeps the names of its files', () => {
  for (const state of CONVERSION_STATES) {
    const drafts = [mintFileId()];
    const before = record(state, { drafts, mail: 'due', unpublished: OWES_VIDEO, mp3Fid: RESULT.mp3Fid });
    const gone = forget(before, NOW + 1);
    assert.ok(gone);
    checkMove(state, gone.state);
    assert.ok(hasEnded(gone) && isForgotten(gone) && !isForgotten(before));
    assert.deepEqual([gone.name, gone.lease, gone.unpublished, gone.mail], [null, null, [], 'none']);
    assert.deepEqual([gone.id, gone.drafts, gone.mp3Fid], [before.id, drafts, RESULT.mp3Fid]);
    assert.equal(sweepKeys(gone).draftsNamedSince, before.endedAt ?? NOW + 1);
    assert.equal(sweepKeys({ ...gone, drafts: [] }).draftsNamedSince, gone.endedAt);
    assert.equal(forget(gone, NOW + 2), undefined);
  }
});

test('what has ended owes no video announcement any more: nobody does the work twice', () => {
  const owing = (state: ConversionState): Conversion => record(state, { unpublished: OWES_VIDEO });
  const owed = (c: Conversion | undefined): string[] => {
    assert.ok(c);
    return c.unpublished.map((entry) => entry.announcement);
  };
  assert.deepEqual(owed(finish(owing('converting'), 'holder', RESULT, NOW)), ['mp3']);
  assert.deepEqual(owed(acceptForeign(owing('queued'), RESULT.mp3Fid, NOW)), []);
  assert.deepEqual(owed(fail(owing('queued'), null, FAILURE, NOW)), ['failed']);
  assert.deepEqual(owed(cancel(owing('queued'), NOW)), []);
});

test('fail() keeps the reason and owes the announcement and a mail', () => {
  for (const state of ['fetching', 'converting'] as const) {
    const failed = fail(record(state), 'holder', FAILURE, NOW + 1);
    assert.deepEqual([failed?.state, failed?.failure, failed?.lease], ['failed', FAILURE, null]);
    assert.deepEqual([failed?.mail, failed?.endedAt], ['due', NOW + 1]);
    assert.deepEqual(failed?.unpublished, [{ announcement: 'failed', since: NOW + 1 }]);
  }
});

test('fail() loses where another holds the work, in an upload, and where it has ended', () => {
  assert.equal(fail(record('converting'), 'other', FAILURE, NOW), undefined);
  for (const state of ['uploading', 'ready', 'failed', 'cancelled'] as const) {
    assert.equal(fail(record(state), 'holder', FAILURE, NOW), undefined, state);
    assert.equal(fail(record(state), null, FAILURE, LATER + 1), undefined, state);
  }
});

test('fail() by nobody ends what nobody works on, and leaves running work alone', () => {
  assert.equal(fail(record('converting'), null, FAILURE, LATER - 1), undefined);
  assert.equal(fail(record('converting'), null, FAILURE, LATER)?.state, 'failed');
  assert.equal(fail(record('queued'), null, FAILURE, NOW)?.state, 'failed');
});

test('cancel() wins in every state that has not ended, whoever works, and owes nothing', () => {
  for (const state of ['uploading', 'fetching', 'queued', 'converting'] as const) {
    const cancelled = cancel(record(state, { unpublished: OWES_VIDEO }), NOW + 1);
    assert.deepEqual([cancelled?.state, cancelled?.lease, cancelled?.mail], ['cancelled', null, 'none']);
    assert.deepEqual([cancelled?.unpublished, cancelled?.endedAt], [[], NOW + 1]);
  }
});

test('cancel() loses where the conversion has ended', () => {
  for (const state of ['ready', 'failed', 'cancelled'] as const) {
    assert.equal(cancel(record(state), NOW), undefined, state);
  }
});
