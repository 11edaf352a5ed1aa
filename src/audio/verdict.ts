import { AudiowaveError, type ErrorCode } from '../domain/errors.ts';
import { isText, type ContainerFacts } from './container.ts';
import type { EncoderExit } from './encoder-process.ts';
import type { Told } from './encoder.ts';

/** How one start of an encoder program has ended. */
export interface Ending {
  readonly exit: EncoderExit;
  readonly told: Told;
  readonly container: ContainerFacts;
  /** The last lines of its log. */
  readonly logEnd: string;
  /** MP3 frames that came out. */
  readonly frames: number;
}

const SENTENCES = {
  text: 'This is a text file, not a video.',
  indexMissing:
    'The file breaks off before its end, and the index of its sound stood there: nothing in it can be played. Upload it again.',
  noIndex: 'The file has no index of its sound, so nothing in it can be played.',
  unreadable: 'The file begins like a video, but it is damaged and cannot be read.',
  breaksOff: 'The file breaks off before its first sound. Upload it again.',
  undecodable: 'The sound of the file cannot be decoded; it is damaged or of an unknown kind.',
} as const;

/** ffmpeg ends so where more than two thirds of the sound could not be decoded (its option -max_error_rate). */
const MOSTLY_BROKEN = 69;

/** The verdict on a file that no program needs to look at, by its size and its first bytes; undefined for all others. */
export function verdictBeforeStart(sizeBytes: number, head: Buffer): AudiowaveError | undefined {
  if (sizeBytes === 0) return new AudiowaveError('audio.empty');
  return isText(head) ? new AudiowaveError('audio.not-media', SENTENCES.text) : undefined;
}

/** Why a start that gave no whole MP3 failed, in the order of what is surest. */
export function explainFailure(ending: Ending): AudiowaveError {
  const { exit, told, container, frames } = ending;
  const fail = (code: ErrorCode, message?: string): AudiowaveError =>
    new AudiowaveError(code, message, { detail: detailOf(ending) });

  if (exit.signal === 'SIGXCPU') return fail('audio.too-long');
  if (exit.signal !== null) return fail('audio.encoder-failed');
  const unreadable = told.source === undefined && told.failure?.code !== 'audio.no-sound';
  if (unreadable && container.indexMissing && /^audio\.(not-media|damaged)$/.test(told.failure?.code ?? '')) {
    return fail('audio.damaged', container.truncated === true ? SENTENCES.indexMissing : SENTENCES.noIndex);
  }
  if (told.failure?.code === 'audio.not-media' && container.kind !== 'unknown') {
    return fail('audio.damaged', SENTENCES.unreadable);
  }
  if (told.failure?.code === 'audio.no-sound' && container.truncated === true) {
    return fail('audio.damaged', SENTENCES.breaksOff);
  }
  if (told.failure !== undefined) return fail(told.failure.code, told.failure.message);
  if (told.source !== undefined && exit.code === MOSTLY_BROKEN)
    return fail('audio.damaged', SENTENCES.undecodable);
  const couldRead =
    told.source !== undefined && !/Cannot allocate memory|Too many open files/.test(ending.logEnd);
  if (couldRead && frames === 0 && exit.code !== null) {
    return fail('audio.damaged', container.truncated === true ? SENTENCES.breaksOff : SENTENCES.undecodable);
  }
  return fail('audio.encoder-failed');
}

function detailOf({ exit, logEnd, frames }: Ending): string {
  const how = exit.signal ?? `exit code ${String(exit.code)}`;
  return `${how}, ${String(frames)} frames; ${logEnd}`;
}

/** Sound that is this much shorter than a container without other signs says is taken as broken off. */
const SHORTER_BY_MS = 2000;
const SHORTER_BY_SHARE = 0.05;

/** True where the source breaks off and the MP3 holds only its beginning. */
export function isIncomplete(told: Told, container: ContainerFacts, durationMs: number): boolean {
  if (container.truncated === true || told.truncated) return true;
  // A whole file may well have a sound that ends before its picture.
  if (container.truncated === false) return false;
  const declared = told.source?.durationMs ?? null;
  if (declared === null || container.kind === 'unknown') return false;
  return declared - durationMs > Math.max(SHORTER_BY_MS, declared * SHORTER_BY_SHARE);
}
