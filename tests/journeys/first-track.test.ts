import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { suite, test } from 'node:test';
import { readOutbox, settled, download, upload } from '../support/client.ts';
import { decode, decodeSource, likeness } from '../support/decode.ts';
import { media } from '../support/media.ts';
import { RECIPES, type Recipe } from '../support/media-recipes.ts';
import { programSuite } from '../support/program-suite.ts';

const SOURCES = [
  'mp4-index-first',
  'mp4-index-last',
  'mp4-fragmented',
  'mkv-aac',
  'mkv-flac',
  'webm-opus',
  'webm-vorbis',
  'avi-mp3',
  'mov-pcm',
  'ts-aac',
  'flv-mp3',
  'flv-aac',
  'mkv-ac3',
  'mp4-8khz-mono',
  'mp4-16khz',
  'mp4-51',
  'mkv-two-tracks',
  'mp4-tiny',
  'flac-96khz',
  'mp3',
  'wav',
] as const;

for (const encoder of ['ffmpeg', 'node-av'] as const) {
  suite(`the curl lines of the family, encoded by ${encoder}`, () => {
    const run = programSuite({ AUDIOWAVE_ENCODER: encoder });

    for (const name of SOURCES) {
      test(`${name}: a video in, an MP3 out, a mail, a download`, async () => {
        const { program, token, folder } = run;
        const source = await media(name);
        const id = await upload(program.url, token, source.path);
        const ended = await settled(program.url, token, id);
        assert.equal(ended.state, 'ready', JSON.stringify(ended.failure));
        assert.equal(ended.incomplete, false);
        assert.equal(ended.progressPercent, 100);

        const mail = (await readOutbox(program.outboxFolder)).find(({ text }) =>
          text.includes(ended.mp3Fid ?? '?'),
        );
        const fid = /^File ID: ([0-9a-f]{24})$/m.exec(mail?.text ?? '')?.[1] ?? '';
        assert.ok(mail);
        assert.ok(mail.text.includes(basename(source.path)), 'the mail names the video');
        const mp3 = join(folder, `${name}.mp3`);
        await download(program.url, token, fid, mp3);

        const link = /^http\S+$/m.exec(mail.text)?.[0] ?? '';
        const oneClick = await fetch(link);
        assert.deepEqual(
          Buffer.from(await oneClick.arrayBuffer()),
          await readFile(mp3),
          'the link needs no login',
        );

        const decoded = await decode(mp3);
        assert.deepEqual(decoded.warnings, []);
        // Decoders of different ages drop the filling at the end of the last AAC frame, or play it: both are right.
        const recipe: Recipe = RECIPES[name];
        const madeMs = (recipe.sound?.seconds ?? 0) * 1000;
        const [shortest, longest] = [
          Math.min(madeMs, source.durationMs),
          Math.max(madeMs, source.durationMs),
        ];
        assert.ok(
          decoded.durationMs >= shortest - 50 && decoded.durationMs <= longest + 50,
          `${String(decoded.durationMs)} ms instead of ${String(shortest)} to ${String(longest)}`,
        );
        const original = await decodeSource(source.path, decoded);
        const alike = likeness(decoded.samples, original);
        assert.ok(alike > 0.9, `it sounds like something else: ${String(alike)}`);
      });
    }
  });
}
