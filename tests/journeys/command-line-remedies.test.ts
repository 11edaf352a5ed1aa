import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { media } from '../support/media.ts';
import { audiowave } from '../support/program.ts';
import { tempFolder } from '../support/temp.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/audiowave.js', import.meta.url));

suite('what the command line says when something is wrong', () => {
  test('doctor names the ffmpeg that was tried, and what to do', async (t) => {
    const ran = await audiowave(['doctor'], {
      settings: { AUDIOWAVE_DATA: await tempFolder(t), AUDIOWAVE_FFMPEG: '/nowhere/ffmpeg' },
    });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stdout.toString(),
      /✗ Encoder: No encoder program was found\. \(.*\/nowhere\/ffmpeg.*\) Set AUDIOWAVE_FFMPEG .* or unset it\./,
    );
  });

  test('convert says that the reader of standard output went away, with 1', async () => {
    const source = await media('mkv-aac');
    const child = spawn(process.execPath, [PROGRAM, 'convert', source.path, '-o', '-'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const [said] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.equal(child.exitCode, 1);
    assert.match(said, /reader of standard output went away/);
  });
});
