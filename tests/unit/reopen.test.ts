import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CONVERSION_STATES,
  checkMove,
  claim,
  newConversion,
  type Conversion,
} from '../../src/domain/conversion.ts';
import { forget } from '../../src/domain/forgotten.ts';
import { mintFileId } from '../../src/domain/ids.ts';
import { oweMailAgain, reopen } from '../../src/domain/reopen.ts';

const NOW = 1_000_000;

function failed(fields: Partial<Conversion> = {}): Conversion {
  const fresh = newConversion({
    id: mintFileId(),
    owner: 'ann@example.com',
    state: 'queued',
    name: 'talk.mp4',
    source: { kind: 'upload' },
    lease: null,
    now: 1,
  });
  return {
    ...fresh,
    state: 'failed',
    failure: { code: 'conversion.abandoned', message: 'Given up.' },
    attempts: 5,
    mail: 'sent',
    videoBytes: 7,
    drafts: [mintFileId()],
    messageFields: { extra: 1 },
    startedAt: 2,
    endedAt: 3,
    ...fields,
  };
}

test('what has failed is queued again as if no converter had begun, and owes its message', () => {
  const before = failed();
  const after = reopen(before, NOW);
  assert.ok(after);
  checkMove(before.state, after.state);
  assert.deepEqual(after, {
    ...before,
    state: 'queued',
    failure: null,
    attempts: 0,
    mail: 'none',
    unpublished: [{ announcement: 'video', since: NOW }],
    startedAt: null,
    endedAt: null,
    updatedAt: NOW,
  });
  assert.ok(claim(after, { holder: 'a', until: NOW + 1 }, NOW));
});

test('nothing else is reopened: no other state, none without its video, none that nobody has', () => {
  for (const state of CONVERSION_STATES.filter((one) => one !== 'failed')) {
    assert.equal(reopen({ ...failed(), state }, NOW), undefined, state);
  }
  assert.equal(reopen(failed({ videoRemovedAt: 4 }), NOW), undefined);
  const forgotten = forget(failed(), NOW);
  assert.equal(forgotten && reopen(forgotten, NOW), undefined);
});

test('a mail that was given up is owed again with its announcement, and no other', () => {
  const owed = oweMailAgain(failed({ mail: 'refused' }), NOW);
  assert.deepEqual([owed?.mail, owed?.unpublished], ['due', [{ announcement: 'failed', since: NOW }]]);
  const ready = oweMailAgain(failed({ state: 'ready', mail: 'refused' }), NOW);
  assert.deepEqual(ready?.unpublished, [{ announcement: 'mp3', since: NOW }]);
  for (const mail of ['none', 'due', 'sent'] as const)
    assert.equal(oweMailAgain(failed({ mail }), NOW), undefined);
  assert.equal(oweMailAgain(failed({ state: 'cancelled', mail: 'refused' }), NOW), undefined);
});
