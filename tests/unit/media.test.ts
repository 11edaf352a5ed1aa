import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, decodeSource, likeness, readInfoTag } from '../support/decode.ts';
import { ALL_MEDIA, media } from '../support/media.ts';
import { mustRun } from '../support/run-program.ts';
import { tempFolder } from '../support/temp.ts';

const WITHOUT_SOUND = new Set([
  'text-renamed-mp4',
  'no-sound',
  'empty',
  'random-bytes',
  'truncated-mp4-index-last',
  'hls-playlist',
  'concat-script',
]);

for (const name of ALL_MEDIA) {
  test(`test media ${name} is what its name says`, async () => {
    const made = await media(name);
    if (WITHOUT_SOUND.has(name)) {
      assert.equal(made.durationMs, 0);
    } else {
      const [least, most] = name.startsWith('truncated')
        ? [500, 3500]
        : name === 'mp4-tiny'
          ? [190, 260]
          : [3950, 4200];
      assert.ok(made.durationMs > least && made.durationMs < most, `${String(made.durationMs)} ms`);
      assert.ok(made.sampleRateHz >= 8000 && made.channels >= 1);
    }
    assert.equal(made.sizeBytes === 0, name === 'empty');
  });
}

test('two decoders agree about a good MP3, and its tag is read', async (t) => {
  const source = await media('wav');
  const mp3 = join(await tempFolder(t), 'out.mp3');
  await mustRun('ffmpeg', ['-v', 'error', '-i', source.path, '-b:a', '192k', mp3]);
  const decoded = await decode(mp3);
  assert.deepEqual(decoded.warnings, []);
  assert.equal(decoded.samples.length, 4 * 44_100 * 2);
  const tag = await readInfoTag(mp3);
  assert.equal(tag.kind, 'Info');
  assert.equal(tag.frames, tag.framesFound);
  assert.equal(tag.bytes, tag.bytesFound);
  assert.deepEqual(tag.bitratesKbps, [192]);
  assert.equal(tag.delay, 1105 - 529);
  const original = await decodeSource(source.path, decoded);
  assert.ok(likeness(original, decoded.samples) > 0.95);
  assert.ok(likeness(original, decoded.samples.subarray(2 * 1152)) < 0.5);
});

test('a damaged MP3 is complained about', async (t) => {
  const source = await media('mp3');
  const mp3 = join(await tempFolder(t), 'cut.mp3');
  await mustRun('sh', ['-c', 'head -c 30001 "$0" > "$1"', source.path, mp3]);
  assert.notDeepEqual((await decode(mp3)).warnings, []);
  await assert.rejects(readInfoTag(mp3), /short/);
});

test('a missing program is told with what to install', async () => {
  await assert.rejects(mustRun('no-such-program-of-audiowave', []), /apt-get install ffmpeg mpg123/);
});
