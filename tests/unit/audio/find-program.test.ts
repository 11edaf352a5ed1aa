import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { findProgram } from '../../../src/audio/find-program.ts';
import { hasCode } from '../../../src/domain/errors.ts';
import { tempFolder } from '../../support/temp.ts';

/** A folder with a program `ffmpeg` that prints `encoders`. */
async function fakeFfmpeg(parent: string, name: string, encoders: string): Promise<string> {
  const folder = join(parent, name);
  await mkdir(folder);
  const path = join(folder, 'ffmpeg');
  await writeFile(path, `#!/bin/sh\necho "ffmpeg version 9.9-${name} Copyright" >&2\necho "${encoders}"\n`);
  await chmod(path, 0o755);
  return folder;
}

const LAME = ' A....D libmp3lame           libmp3lame MP3 (MPEG audio layer 3) (codec mp3)';

test('the first ffmpeg of the search path is taken, with its version', async (t) => {
  const parent = await tempFolder(t);
  const folders = [
    join(parent, 'none'),
    await fakeFfmpeg(parent, 'one', LAME),
    await fakeFfmpeg(parent, 'two', LAME),
  ];
  const found = await findProgram({ encoder: 'auto', searchPath: ['.', ...folders].join(delimiter) });
  assert.deepEqual(found, { kind: 'ffmpeg', version: '9.9-one', path: join(parent, 'one', 'ffmpeg') });
});

test('an ffmpeg that cannot make MP3s is passed over for node-av', async (t) => {
  const searchPath = await fakeFfmpeg(await tempFolder(t), 'poor', ' A....D aac AAC');
  const found = await findProgram({ encoder: 'auto', searchPath });
  assert.equal(found.kind, 'node-av');
  assert.match(found.version, /^\d+\.\d+\.\d+$/);
});

test('without an ffmpeg node-av is taken, unless ffmpeg was asked for', async (t) => {
  const searchPath = await tempFolder(t);
  assert.equal((await findProgram({ encoder: 'auto', searchPath })).kind, 'node-av');
  await assert.rejects(findProgram({ encoder: 'ffmpeg', searchPath }), (error) =>
    hasCode(error, 'audio.encoder-missing'),
  );
});

test('an ffmpeg that is named is the only one that will do', async (t) => {
  const parent = await tempFolder(t);
  const searchPath = await fakeFfmpeg(parent, 'good', LAME);
  const ffmpegPath = join(await fakeFfmpeg(parent, 'poor', ''), 'ffmpeg');
  await assert.rejects(findProgram({ encoder: 'auto', ffmpegPath, searchPath }), (error) => {
    assert.ok(hasCode(error, 'audio.encoder-missing'));
    assert.match(error.detail ?? '', /libmp3lame/);
    assert.ok(!error.message.includes(parent));
    return true;
  });
});
