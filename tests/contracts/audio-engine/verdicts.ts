import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudioOptions } from '../../../src/domain/audio-options.ts';
import { hasCode, type ErrorCode } from '../../../src/domain/errors.ts';
import { decode } from '../../support/decode.ts';
import { media, type MediaName } from '../../support/media.ts';
import { childrenOf } from '../../support/processes.ts';
import { runProgram } from '../../support/run-program.ts';
import { tempFolder } from '../../support/temp.ts';
import { heldSink, MemorySink, rejection, request, save, type Subject } from './subject.ts';

const HOPELESS: readonly (readonly [MediaName, ErrorCode, RegExp])[] = [
  ['empty', 'audio.empty', /empty/],
  ['text-renamed-mp4', 'audio.not-media', /text file/],
  ['hls-playlist', 'audio.not-media', /text file/],
  ['concat-script', 'audio.not-media', /text file/],
  ['random-bytes', 'audio.not-media', /not a video or audio file/],
  ['no-sound', 'audio.no-sound', /no sound/],
  ['truncated-mp4-index-last', 'audio.damaged', /breaks off .* index/],
];

const BROKEN_OFF: readonly MediaName[] = [
  'truncated-mp4-index-first',
  'truncated-mkv',
  'truncated-webm',
  'truncated-avi',
  'truncated-wav',
];

/** What is wrong with the input, and how it is told. */
export function verdictPromises({ promise, open, convert }: Subject): void {
  for (const [kind, code, sentence] of HOPELESS) {
    promise(`${kind} fails with ${code} and a sentence for people`, async (t) => {
      const sink = new MemorySink();
      const error = await rejection((await open(t)).convert(request(await media(kind), sink)));
      assert.ok(hasCode(error, code), String(error.detail ?? error));
      assert.equal(error.retryable, false);
      assert.match(error.message, sentence);
      assert.doesNotMatch(error.message, /\/dev\/fd|\/tmp|0x/);
    });
  }

  promise('noise inside a container is damaged', async (t) => {
    const folder = await tempFolder(t);
    const whole = await readFile((await media('mp4-index-first')).path);
    const at = whole.indexOf('mdat') + 4;
    whole.set(
      await readFile((await media('random-bytes')).path).then((b) => b.subarray(0, whole.length - at)),
      at,
    );
    const path = join(folder, 'noise.mp4');
    await writeFile(path, whole);
    const file = { ...(await media('mp4-index-first')), path, sizeBytes: whole.length };
    const error = await rejection((await open(t)).convert(request(file, new MemorySink())));
    assert.ok(hasCode(error, 'audio.damaged'), String(error.detail ?? error));
  });

  promise('an option that no MP3 can have is refused', async (t) => {
    const engine = await open(t);
    const file = await media('wav');
    const wrong: AudioOptions[] = [
      { mode: 'cbr', bitrateKbps: 1000, explicit: true },
      { mode: 'vbr', quality: 10 },
    ];
    for (const options of wrong) {
      const error = await rejection(engine.convert(request(file, new MemorySink(), { options })));
      assert.ok(hasCode(error, 'audio.unsupported-option'));
    }
  });

  promise('what takes too long or grows too large fails with audio.too-long', async (t) => {
    const file = await media('wav', { seconds: 60 });
    const small = await open(t, { maxMp3Bytes: 100_000 });
    const tooLarge = await rejection(small.convert(request(file, new MemorySink())));
    assert.ok(hasCode(tooLarge, 'audio.too-long'));
    const hasty = await open(t, { timeoutMs: 300 });
    const tooSlow = await rejection(hasty.convert(request(file, heldSink().sink)));
    assert.ok(hasCode(tooSlow, 'audio.too-long'));
    assert.deepEqual(await childrenOf(process.pid), []);
  });

  for (const kind of BROKEN_OFF) {
    promise(`${kind} gives an MP3 of its beginning, marked as incomplete`, async (t) => {
      const file = await media(kind);
      const { mp3, result } = await convert(t, file);
      assert.equal(result.incomplete, true);
      const decoded = await decode(await save(t, mp3));
      assert.deepEqual(decoded.warnings, []);
      assert.ok(decoded.durationMs > 500 && decoded.durationMs < 3500, String(decoded.durationMs));
    });
  }

  promise('a sound that is shorter than its picture is not incomplete', async (t) => {
    const path = join(await tempFolder(t), 'short-sound.mkv');
    const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=5:d=20'];
    const sound = ['-f', 'lavfi', '-i', 'sine=d=4', '-c:v', 'mpeg4', '-c:a', 'aac', path];
    await runProgram('ffmpeg', ['-v', 'error', '-nostdin', ...picture, ...sound]);
    const { length } = await readFile(path);
    const { result } = await convert(t, { ...(await media('wav')), path, sizeBytes: length });
    assert.equal(result.incomplete, false);
    assert.ok(result.durationMs < 5000);
  });
}
