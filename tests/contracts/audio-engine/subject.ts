import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DEFAULT_AUDIO_OPTIONS, type AudioOptions } from '../../../src/domain/audio-options.ts';
import type { AudiowaveError } from '../../../src/domain/errors.ts';
import type {
  AudioEngine,
  AudioRequest,
  AudioResult,
  AudioSink,
  AudioSource,
} from '../../../src/ports/audio-engine.ts';
import { eventually } from '../../support/eventually.ts';
import type { Media } from '../../support/media.ts';
import { childrenOf, type ProcessFacts } from '../../support/processes.ts';
import { tempFolder } from '../../support/temp.ts';

export interface EngineLimits {
  readonly scratchFolder: string;
  readonly timeoutMs?: number;
  readonly stallMs?: number;
  readonly maxMp3Bytes?: number;
}

/** Makes the engine under test. */
export type OpenEngine = (limits: EngineLimits) => AudioEngine;

/** What the tests of one engine share. */
export interface Subject {
  readonly promise: (what: string, body: (t: TestContext) => Promise<void>) => void;
  readonly open: (t: TestContext, limits?: Partial<EngineLimits>) => Promise<AudioEngine>;
  readonly convert: (
    t: TestContext,
    file: Media,
    options?: AudioOptions,
  ) => Promise<{ mp3: Buffer; result: AudioResult }>;
}

export function subject(name: string, open: OpenEngine): Subject {
  const openFor: Subject['open'] = async (t, limits = {}) =>
    open({ scratchFolder: join(await tempFolder(t), 'scratch'), ...limits });
  return {
    promise: (what, body) => {
      test(`${name}: ${what}`, { timeout: 120_000 }, body);
    },
    open: openFor,
    convert: async (t, file, options = DEFAULT_AUDIO_OPTIONS) => {
      const sink = new MemorySink();
      const result = await (await openFor(t)).convert(request(file, sink, { options }));
      return { mp3: sink.bytes, result };
    },
  };
}

/** Keeps the MP3 in memory; `beforeWrite` may wait or throw. */
export class MemorySink implements AudioSink {
  readonly chunks: Buffer[] = [];
  readonly #beforeWrite: (written: number) => Promise<void> | void;

  constructor(beforeWrite: (written: number) => Promise<void> | void = () => undefined) {
    this.#beforeWrite = beforeWrite;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#beforeWrite(this.chunks.length);
    this.chunks.push(Buffer.from(chunk));
  }

  rewriteHead(head: Uint8Array): Promise<void> {
    const whole = this.bytes;
    whole.set(head, 0);
    this.chunks.splice(0, this.chunks.length, whole);
    return Promise.resolve();
  }
}

export function localSource(file: Pick<Media, 'path' | 'sizeBytes'>): AudioSource {
  return {
    sizeBytes: file.sizeBytes,
    localPath: file.path,
    read: () => assert.fail('a file of this machine is not copied'),
  };
}

export function request(file: Media, sink: AudioSink, fields: Partial<AudioRequest> = {}): AudioRequest {
  return {
    source: localSource(file),
    sink,
    options: DEFAULT_AUDIO_OPTIONS,
    tags: { title: 'Name of the file' },
    signal: new AbortController().signal,
    ...fields,
  };
}

export async function rejection(work: Promise<unknown>): Promise<AudiowaveError> {
  const outcome = await work.then(
    () => assert.fail('it should have failed'),
    (error: unknown) => error,
  );
  return outcome as AudiowaveError;
}

export async function save(t: TestContext, bytes: Uint8Array): Promise<string> {
  const path = join(await tempFolder(t), 'out.mp3');
  await writeFile(path, bytes);
  return path;
}

/** The one encoder program that `parent` runs, this test process by default. */
export async function encoderProgram(parent = process.pid): Promise<ProcessFacts> {
  const isEncoder = ({ commandLine }: ProcessFacts): boolean =>
    !commandLine.startsWith('/bin/sh') && /libmp3lame|node-av\/worker\.ts/.test(commandLine);
  return eventually('an encoder program runs', async () => (await childrenOf(parent)).find(isEncoder));
}

/** A sink that stops at its second write, so that the encoder program waits with it; what it waits for. */
export function heldSink(): { sink: MemorySink; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return {
    sink: new MemorySink(async (written) => {
      if (written > 0) await promise;
    }),
    release: () => {
      resolve(undefined);
    },
  };
}
