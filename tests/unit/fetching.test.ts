import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cancel,
  CONVERSION_STATES,
  enqueue,
  newConversion,
  type Conversion,
} from '../../src/domain/conversion.ts';
import { handBackFetch, resumeFetch, wasBrokenOff } from '../../src/domain/fetching.ts';
import { forget } from '../../src/domain/forgotten.ts';
import { mintFileId } from '../../src/domain/ids.ts';

const NOW = 1_700_000_000_000;
const UNTIL = NOW + 30_000;
const NEXT = { holder: 'next', until: UNTIL + 30_000 };

const FETCHING: Conversion = newConversion({
  id: mintFileId(),
  owner: 'ann@example.com',
  state: 'fetching',
  name: null,
  source: { kind: 'url', url: 'https://videos.example.com/talk.mp4' },
  lease: { holder: 'first', until: UNTIL },
  now: NOW,
});

test('resumeFetch() takes a fetch over whose lease has run out, and counts it', () => {
  assert.equal(resumeFetch(FETCHING, NEXT, UNTIL - 1), undefined, 'its holder is alive');
  const resumed = resumeFetch(FETCHING, NEXT, UNTIL);
  assert.deepEqual([resumed?.state, resumed?.lease, resumed?.attempts], ['fetching', NEXT, 1]);
  assert.ok(resumed);
  assert.equal(resumeFetch(resumed, { ...NEXT, holder: 'late' }, UNTIL + 1), undefined, 'one gets it');
  assert.equal(
    enqueue(resumed, 'first', { bytes: 1, name: null }, UNTIL),
    undefined,
    'the former has lost it',
  );
  assert.equal(resumeFetch(resumed, NEXT, NEXT.until)?.attempts, 2);
});

test('handBackFetch() leaves a fetch to others at once or after a rest, uncounted', () => {
  assert.equal(handBackFetch(FETCHING, 'other', 0, NOW), undefined);
  const left = handBackFetch(FETCHING, 'first', 0, NOW + 5);
  assert.ok(left);
  assert.deepEqual([left.state, left.lease?.until, left.unpublished], ['fetching', NOW + 5, []]);
  assert.deepEqual([wasBrokenOff(FETCHING), wasBrokenOff(left)], [true, false]);
  assert.deepEqual([resumeFetch(left, NEXT, NOW + 5)?.attempts, left.attempts], [0, 0]);
  const resting = handBackFetch(FETCHING, 'first', 5_000, NOW);
  assert.ok(resting);
  assert.equal(resumeFetch(resting, NEXT, NOW + 4_999), undefined);
  assert.equal(enqueue(left, 'first', { bytes: 1, name: null }, NOW), undefined);
});

test('what is not fetching, or nobody’s any more, is neither resumed nor handed back', () => {
  for (const state of CONVERSION_STATES.filter((one) => one !== 'fetching')) {
    assert.equal(resumeFetch({ ...FETCHING, state }, NEXT, UNTIL), undefined, state);
    assert.equal(handBackFetch({ ...FETCHING, state }, 'first', 0, NOW), undefined, state);
  }
  for (const gone of [cancel(FETCHING, NOW), forget(FETCHING, NOW)]) {
    assert.ok(gone);
    assert.equal(resumeFetch(gone, NEXT, UNTIL), undefined);
  }
});

test('a video that is whole at last is a conversion that nobody has begun', () => {
  const resumed = resumeFetch(FETCHING, NEXT, UNTIL);
  assert.ok(resumed);
  const queued = enqueue(resumed, 'next', { bytes: 1, name: null }, UNTIL);
  assert.deepEqual([queued?.state, queued?.attempts, queued?.lease], ['queued', 0, null]);
});
