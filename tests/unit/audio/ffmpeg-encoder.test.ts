import assert from 'node:assert/strict';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EncoderRun } from '../../../src/audio/encoder-run.ts';
import type { Told } from '../../../src/audio/encoder.ts';
import { FfmpegEncoder } from '../../../src/audio/ffmpeg/ffmpeg-encoder.ts';
import { findProgram } from '../../../src/audio/find-program.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../../../src/domain/audio-options.ts';
import { media } from '../../support/media.ts';
import { tempFolder } from '../../support/temp.ts';

/** Runs ffmpeg as the engine does, without the engine's own look at the file. */
async function run(t: TestContext, path: string): Promise<{ told: Told; bytes: number }> {
  const { path: ffmpeg = '' } = await findProgram({ encoder: 'ffmpeg' });
  const encoder = new FfmpegEncoder(ffmpeg);
  const source = await open(path);
  t.after(() => source.close());
  const running = new EncoderRun({
    encoder,
    command: encoder.command(DEFAULT_AUDIO_OPTIONS, undefined),
    descriptor: source.fd,
    cpuSeconds: 60,
    onReport: () => undefined,
  });
  let bytes = 0;
  for await (const chunk of running.chunks()) bytes += chunk.length;
  await running.exited;
  return { told: running.told, bytes };
}

test('a playlist does not make ffmpeg open the file that it names', async (t) => {
  const { path } = await media('ts-aac');
  const playlist = join(await tempFolder(t), 'list.mp4');
  const lines = [
    '#EXTM3U',
    '#EXT-X-TARGETDURATION:4',
    '#EXTINF:4.0,',
    `file://${path}`,
    '#EXT-X-ENDLIST',
    '',
  ];
  await writeFile(playlist, lines.join('\n'));
  const { told, bytes } = await run(t, playlist);
  assert.equal(bytes, 0);
  assert.equal(told.failure?.code, 'audio.not-media');
});

test('a picture is not media', async (t) => {
  const path = join(await tempFolder(t), 'picture.mp4');
  // The smallest PNG: one pixel.
  const pixel =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  await writeFile(path, Buffer.from(pixel, 'base64'));
  assert.equal((await run(t, path)).told.failure?.code, 'audio.not-media');
});

test('ffmpeg reads the file through its descriptor, back and forth', async (t) => {
  const { told, bytes } = await run(t, (await media('mp4-index-last')).path);
  assert.ok(bytes > 50_000);
  assert.equal(told.source?.codec, 'aac');
});
