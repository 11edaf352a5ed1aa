import { AudiowaveError } from '../../src/domain/errors.ts';
import type { AudioEngine, AudioRequest, AudioResult, EncoderProgram } from '../../src/ports/audio-engine.ts';

/** What the engine does with one request. */
export type EngineStep = (request: AudioRequest) => Promise<AudioResult>;

export const ENCODED: AudioResult = {
  durationMs: 20_000,
  mp3Bytes: 0,
  incomplete: false,
  sourceCodec: 'aac',
  sampleRateHz: 48_000,
  channels: 2,
  bitrateKbps: 192,
};

/** Writes `mp3:` and the video's bytes. */
export const encode: EngineStep = async ({ source, sink }) => {
  await sink.write(Buffer.from('mp3:'));
  for await (const chunk of source.read()) await sink.write(chunk);
  return { ...ENCODED, mp3Bytes: 4 + source.sizeBytes };
};

/** Fails after it has written something. */
export function failing(error: Error): EngineStep {
  return async ({ sink }) => {
    await sink.write(Buffer.from('half'));
    throw error;
  };
}

/** Writes something, then runs until it is told to stop. */
export const untilAborted: EngineStep = async ({ sink, signal }) => {
  await sink.write(Buffer.from('half'));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
  throw new AudiowaveError('audio.cancelled');
};

/** An engine that does what a test says; where nothing is said, it encodes. */
export class ScriptedEngine implements AudioEngine {
  /** All requests, in order. */
  readonly requests: AudioRequest[] = [];
  readonly #steps: EngineStep[];

  constructor(...steps: EngineStep[]) {
    this.#steps = steps;
  }

  convert(request: AudioRequest): Promise<AudioResult> {
    this.requests.push(request);
    return (this.#steps.shift() ?? encode)(request);
  }

  program(): Promise<EncoderProgram> {
    return Promise.resolve({ kind: 'ffmpeg', version: 'scripted', path: undefined });
  }
}
