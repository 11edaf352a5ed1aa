import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { download, readOutbox, settled, upload } from '../support/client.ts';
import { decode } from '../support/decode.ts';
import { media, type MediaName } from '../support/media.ts';
import { programSuite } from '../support/program-suite.ts';

/** Bad video → the code its owner is told. */
const FAILURES: Readonly<Partial<Record<MediaName, string>>> = {
  'text-renamed-mp4': 'audio.not-media',
  'no-sound': 'audio.no-sound',
  empty: 'audio.empty',
  'random-bytes': 'audio.not-media',
  'truncated-mp4-index-last': 'audio.damaged',
  'hls-playlist': 'audio.not-media',
  'concat-script': 'audio.not-media',
};

const BEGINNINGS: readonly MediaName[] = ['truncated-mp4-index-first', 'truncated-mkv', 'truncated-avi'];

for (const encoder of ['ffmpeg', 'node-av'] as const) {
  suite(`bad videos, with ${encoder}`, () => {
    const run = programSuite({ AUDIOWAVE_ENCODER: encoder });

    for (const [name, code] of Object.entries(FAILURES)) {
      test(`${name} fails within seconds with a sentence in status and mail, and the converter lives on`, async () => {
        const { program, token } = run;
        const source = await media(name as MediaName);
        const ended = await settled(
          program.url,
          token,
          await upload(program.url, token, source.path),
          10_000,
        );
        assert.deepEqual([ended.state, ended.failure?.code], ['failed', code]);
        const sentence = ended.failure?.message ?? '';
        assert.match(sentence, /^[A-Z].+\.$/s);
        const mails = await readOutbox(program.outboxFolder);
        const mail = mails.find(({ messageId }) => messageId.includes(ended.id));
        assert.equal(mail?.subject, 'MP3 conversion failed');
        assert.ok(mail.text.includes(sentence), mail.text);
      });
    }

    for (const name of BEGINNINGS) {
      test(`${name} becomes ready with its beginning, and says that it is incomplete`, async () => {
        const { program, token, folder } = run;
        const source = await media(name);
        const ended = await settled(program.url, token, await upload(program.url, token, source.path));
        assert.deepEqual([ended.state, ended.incomplete], ['ready', true], JSON.stringify(ended.failure));
        const mp3 = join(folder, `${name}.mp3`);
        await download(program.url, token, ended.mp3Fid ?? '', mp3);
        const decoded = await decode(mp3);
        assert.deepEqual(decoded.warnings, []);
        assert.ok(decoded.durationMs > 500 && decoded.durationMs < 3_900, String(decoded.durationMs));
        const mail = (await readOutbox(program.outboxFolder)).find(({ messageId }) =>
          messageId.includes(ended.id),
        );
        assert.match(mail?.text ?? '', /broke off/);
      });
    }
  });
}
