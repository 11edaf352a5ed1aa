import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { createAudioEngine } from '../../src/audio/engine.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../../src/domain/audio-options.ts';

/** Converts a file into a sink that never takes a byte, so that somebody can kill this process meanwhile. */
const [kind, path = '', sizeBytes] = process.argv.slice(2);
const engine = createAudioEngine({
  encoder: kind === 'node-av' ? 'node-av' : 'ffmpeg',
  scratchFolder: tmpdir(),
  timeoutMs: 60_000,
  maxMp3Bytes: 1_000_000_000,
});
await engine.convert({
  source: {
    sizeBytes: Number(sizeBytes),
    localPath: path,
    read: () => assert.fail('a file of this machine is not copied'),
  },
  sink: { write: () => new Promise(() => undefined) },
  options: DEFAULT_AUDIO_OPTIONS,
  tags: {},
  signal: new AbortController().signal,
});
