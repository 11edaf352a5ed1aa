import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { audit, type Evidence, type Findings } from '../../scripts/chaos/audit.ts';
import { nameOf, type Input } from '../../scripts/chaos/inputs.ts';
import { planKills } from '../../scripts/chaos/plan.ts';
import type { SeenRecord } from '../../scripts/chaos/records.ts';
import type { ReceivedMail } from '../../tests/support/servers/smtp-process.ts';

const GOOD: Input = {
  kind: 'short',
  bytes: Buffer.alloc(1),
  failure: undefined,
  durationMs: 3_000,
  weight: 1,
};
const BAD: Input = { ...GOOD, kind: 'mute', failure: 'audio.no-sound', durationMs: undefined };

const OWNER = { email: 'ann@example.com', password: 'secret', token: 'token' };

const READY: SeenRecord = {
  id: 'v1',
  owner: OWNER.email,
  state: 'ready',
  name: nameOf(1, GOOD),
  source: { kind: 'upload' },
  videoBytes: 1,
  mp3Fid: 'm1',
  mp3Bytes: 1,
  durationMs: 3_000,
  progressPercent: 100,
  incomplete: false,
  failure: null,
  attempts: 1,
  mail: 'sent',
};

const FAILED: SeenRecord = {
  ...READY,
  id: 'v2',
  state: 'failed',
  name: nameOf(2, BAD),
  mp3Fid: null,
  failure: { code: 'audio.no-sound', message: 'There is no sound.' },
};

function mail(id: string, text: string): ReceivedMail {
  const messageId = `x.${id}@example.com`;
  return { messageId, from: 'a@b', to: OWNER.email, subject: 's', text, html: '', receivedAt: 1 };
}

const ALL_WELL: Evidence = {
  accepted: [
    { id: 'v1', owner: OWNER.email, kind: 'upload', input: GOOD },
    { id: 'v2', owner: OWNER.email, kind: 'upload', input: BAD },
  ],
  inputs: [GOOD, BAD],
  owners: [OWNER],
  records: [READY, FAILED],
  videos: { files: new Set(['v1', 'v2']), debris: [] },
  mp3s: { files: new Set(['m1']), debris: [] },
  recordIds: ['v1', 'v2'],
  mails: [mail('v1', 'File ID: m1\n'), mail('v2', 'Video ID: v2\n')],
  deadLetters: [],
};

type Count = 'lost' | 'doubled' | 'stuck' | 'orphans';

async function found(changes: Partial<Evidence>, complaint?: string): Promise<Findings> {
  return audit({ ...ALL_WELL, ...changes }, { complaint: () => Promise.resolve(complaint) });
}

/** The counts that are not 0. */
async function wrong(changes: Partial<Evidence>, complaint?: string): Promise<Count[]> {
  const findings = await found(changes, complaint);
  return (['lost', 'doubled', 'stuck', 'orphans'] as const).filter((count) => findings[count].length > 0);
}

suite('the audit of a chaos run', () => {
  test('finds nothing where all is as it was promised', async () => {
    assert.deepEqual(await wrong({}), []);
    const { ready, failed, extraMails } = await found({});
    assert.deepEqual([ready, failed, extraMails], [1, 1, 0]);
  });

  const faults: readonly [string, Count[], Partial<Evidence>, string?][] = [
    ['an accepted upload without a record', ['lost', 'doubled', 'orphans'], { records: [FAILED] }],
    ['an MP3 that does not decode', ['lost'], {}, 'ffmpeg: broken'],
    ['a good video that failed', ['lost'], { records: [READY, { ...FAILED, name: nameOf(2, GOOD) }] }],
    [
      'a bad video that failed for another reason',
      ['lost'],
      { records: [READY, { ...FAILED, failure: { code: 'conversion.abandoned', message: '' } }] },
    ],
    ['a missing mail', ['lost'], { mails: [mail('v1', 'File ID: m1\n')] }],
    [
      'a mail to somebody else',
      ['lost'],
      { mails: ALL_WELL.mails.map((one) => ({ ...one, to: 'eve@example.com' })) },
    ],
    ['mails that name two MP3s', ['doubled'], { mails: [...ALL_WELL.mails, mail('v1', 'File ID: m9\n')] }],
    ['an MP3 too many', ['doubled', 'orphans'], { mp3s: { files: new Set(['m1', 'm2']), debris: [] } }],
    ['an MP3 that is gone', ['orphans'], { mp3s: { files: new Set(), debris: [] } }],
    ['a video without a record', ['orphans'], { videos: { files: new Set(['v1', 'v2', 'v3']), debris: [] } }],
    ['a record whose video is gone', ['orphans'], { videos: { files: new Set(['v1']), debris: [] } }],
    ['half a file', ['orphans'], { videos: { ...ALL_WELL.videos, debris: ['chunks of no file'] } }],
    ['a record that nobody sees', ['orphans'], { recordIds: ['v1', 'v2', 'v3'] }],
    ['a conversion under way', ['stuck'], { records: [{ ...READY, state: 'converting' }, FAILED] }],
    ['a mail that is due', ['stuck'], { records: [{ ...READY, mail: 'due' }, FAILED] }],
    ['a dead letter of a good video', ['stuck'], { deadLetters: ['v1'] }],
  ];
  for (const [name, counts, changes, complaint] of faults) {
    test(`finds ${name}`, async () => {
      assert.deepEqual(await wrong(changes, complaint), counts);
    });
  }

  test('lets dead letters of bad videos pass, and counts mails beyond one', async () => {
    assert.deepEqual(await wrong({ deadLetters: ['v2'] }), []);
    const twice = await found({ mails: [...ALL_WELL.mails, mail('v1', 'File ID: m1\n')] });
    assert.equal(twice.extraMails, 1);
  });

  test('finds a fetch that a kill cut short and nobody resumed', async () => {
    const cut: SeenRecord = {
      ...FAILED,
      name: null,
      source: { kind: 'url' },
      videoBytes: null,
      failure: { code: 'import.failed', message: 'Audiowave was interrupted.' },
    };
    const changes = { records: [READY, cut], videos: { files: new Set(['v1']), debris: [] } };
    assert.deepEqual(await wrong(changes), ['lost']);
  });
});

suite('a plan of kills', () => {
  const targets = ['a', 'b', 'c', 'd'];

  test('is the same for the same seed and another for another', () => {
    assert.deepEqual(planKills(7, 120_000, targets), planKills(7, 120_000, targets));
    assert.notDeepEqual(planKills(7, 120_000, targets), planKills(8, 120_000, targets));
  });

  test('hits each target once in each round', () => {
    const kills = planKills(3, 300_000, targets).map(({ target }) => target);
    assert.ok(kills.length >= 40);
    for (let at = 0; at + 4 <= kills.length; at += 4) {
      assert.deepEqual(kills.slice(at, at + 4).sort(), targets);
    }
  });
});
