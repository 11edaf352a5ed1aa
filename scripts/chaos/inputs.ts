import { readFile } from 'node:fs/promises';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { media, type MediaName } from '../../tests/support/media.ts';

/** A video that is sent, and what has to become of it. */
export interface Input {
  /** Part of its file name, by which the record of an upload that nobody answered is known, too. */
  readonly kind: string;
  readonly bytes: Buffer;
  /** Why it has to fail; undefined: it has to become an MP3. */
  readonly failure: ErrorCode | undefined;
  /** Length of the MP3; undefined where it depends on the encoder program (videos that break off). */
  readonly durationMs: number | undefined;
  /** How often it is sent beside the others. */
  readonly weight: number;
}

interface Recipe {
  readonly name: MediaName;
  readonly seconds?: number;
  readonly weight: number;
  readonly failure?: ErrorCode;
  readonly isCut?: true;
}

// Most are over in half a second; those of a minute give kills something to hit.
const RECIPES: Readonly<Record<string, Recipe>> = {
  short: { name: 'mp4-index-first', weight: 5 },
  late: { name: 'mp4-index-last', weight: 5 },
  matroska: { name: 'mkv-aac', weight: 4 },
  webm: { name: 'webm-opus', seconds: 8, weight: 3 },
  sound: { name: 'mp3', weight: 2 },
  medium: { name: 'mp4-index-last', seconds: 20, weight: 4 },
  long: { name: 'mkv-flac', seconds: 60, weight: 2 },
  cut: { name: 'truncated-mkv', weight: 1, isCut: true },
  text: { name: 'text-renamed-mp4', weight: 1, failure: 'audio.not-media' },
  mute: { name: 'no-sound', weight: 1, failure: 'audio.no-sound' },
  headless: { name: 'truncated-mp4-index-last', weight: 1, failure: 'audio.damaged' },
};

/** All inputs, made where they are not there yet. */
export async function prepareInputs(): Promise<Input[]> {
  return Promise.all(
    Object.entries(RECIPES).map(async ([kind, { name, seconds, weight, failure, isCut }]) => {
      const file = await media(name, seconds === undefined ? {} : { seconds });
      return {
        kind,
        bytes: await readFile(file.path),
        failure,
        durationMs: failure !== undefined || isCut === true ? undefined : file.durationMs,
        weight,
      };
    }),
  );
}

/** One of them, by weight; `random` is from 0 to below 1. */
export function chooseInput(inputs: readonly Input[], random: number): Input {
  let left = random * inputs.reduce((sum, { weight }) => sum + weight, 0);
  for (const input of inputs) {
    left -= input.weight;
    if (left < 0) return input;
  }
  throw new Error('There are no inputs');
}

/** The name under which the `number`th video is sent. */
export function nameOf(number: number, input: Input): string {
  return `chaos-${String(number)}-${input.kind}.mp4`;
}

/** The input that was sent under this name. */
export function inputOf(inputs: readonly Input[], name: string | null): Input | undefined {
  const kind = /^chaos-\d+-([a-z]+)\.mp4$/.exec(name ?? '')?.[1];
  return inputs.find((input) => input.kind === kind);
}
