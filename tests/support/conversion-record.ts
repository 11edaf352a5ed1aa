import {
  hasEnded,
  newConversion,
  type Conversion,
  type ConversionState,
  type Lease,
} from '../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';

/** When everything in these records happens; the tests of moves have no clock. */
export const NOW = 1_700_000_000_000;
export const LATER = NOW + 60_000;
export const FAILURE = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;
export const RESULT = {
  mp3Fid: 'f'.repeat(24) as FileId,
  mp3Bytes: 10,
  durationMs: 1_000,
  incomplete: false,
};

export function lease(holder: string, until = LATER): Lease {
  return { holder, until };
}

/** A record in `state`, held by `holder` where somebody works in that state. */
export function record(state: ConversionState, fields: Partial<Conversion> = {}): Conversion {
  const busy = state === 'uploading' || state === 'fetching' || state === 'converting';
  const fresh = newConversion({
    id: mintFileId(),
    owner: 'ann@example.com',
    state: 'queued',
    name: 'talk.mp4',
    source: { kind: 'upload' },
    lease: busy ? lease('holder') : null,
    now: NOW,
  });
  return { ...fresh, state, endedAt: hasEnded({ ...fresh, state }) ? NOW : null, ...fields };
}

export const OWES_VIDEO = [{ announcement: 'video', since: NOW - 5 }] as const;
