import assert from 'node:assert/strict';
import {
  claim,
  enqueue,
  finish,
  newConversion,
  type Conversion,
  type NewConversion,
} from '../../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { ConversionStore } from '../../../src/ports/conversion-store.ts';

/** A time that no clock of a test shows, so that a store that takes its own time is found out. */
export const T0 = 1_700_000_000_000;

export const ANN = 'Ann@Example.com';
export const BOB = 'bob@example.com';

/** A record as the gateway makes it. */
export function fresh(fields: Partial<NewConversion> = {}): Conversion {
  return newConversion({
    id: mintFileId(),
    owner: ANN,
    state: 'queued',
    name: 'talk.mp4',
    source: { kind: 'upload' },
    lease: null,
    now: T0,
    ...fields,
  });
}

/** `value` of a change that must not have lost. */
function won(value: Conversion | undefined): Conversion {
  if (value === undefined) throw new Error('the change lost');
  return value;
}

/** A record whose video is whole, with its announcement owed since `at`. */
export function enqueued(at: number, fields: Partial<NewConversion> = {}): Conversion {
  const lease = { holder: 'gateway', until: at + 1 };
  const uploading = fresh({ state: 'uploading', lease, now: at, ...fields });
  return won(enqueue(uploading, 'gateway', { bytes: 5, name: null }, at));
}

/** A record that a converter works on, until `until`. */
export function converting(until: number, fields: Partial<NewConversion> = {}): Conversion {
  return won(claim(fresh(fields), { holder: 'converter', until }, T0));
}

/** A record that is ready since `at`. */
export function ready(
  at: number,
  mp3Fid: FileId = mintFileId(),
  fields: Partial<NewConversion> = {},
): Conversion {
  const result = { mp3Fid, mp3Bytes: 7, durationMs: 1_000, incomplete: false };
  return won(finish(converting(at + 1, fields), 'converter', result, at));
}

export const FAILURE = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;

export async function createAll(store: ConversionStore, ...records: Conversion[]): Promise<void> {
  for (const record of records) await store.create(record);
}

export function ids(records: readonly Conversion[]): FileId[] {
  return records.map((record) => record.id);
}

/** Two holders claim at the same time: one gets the record, the other undefined. */
export async function oneClaims(
  [one, two]: readonly [ConversionStore, ConversionStore],
  id: FileId,
): Promise<void> {
  const lease = (holder: string) => ({ holder, until: T0 + 1_000 });
  const outcomes = await Promise.all([
    one.update(id, (c) => claim(c, lease('one'), T0)),
    two.update(id, (c) => claim(c, lease('two'), T0)),
  ]);
  const [winner, ...others] = outcomes.filter((outcome) => outcome !== undefined);
  assert.ok(winner !== undefined, 'nobody won');
  assert.deepEqual(others, []);
  assert.equal(winner.lease?.holder, outcomes[0] === undefined ? 'two' : 'one');
  assert.equal(winner.version, 2);
  assert.equal(winner.attempts, 1);
  assert.deepEqual(await one.find(id), winner);
}
