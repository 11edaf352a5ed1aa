import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
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

  test('convert refuses a pipe at once instead of waiting for a writer, and says how to send one, with 1', async (t) => {
    const pipe = join(await tempFolder(t), 'talk.mp4');
    const made = spawn('mkfifo', [pipe]);
    assert.deepEqual(await once(made, 'exit'), [0, null]);
    const child = spawn(process.execPath, [PROGRAM, 'convert', pipe], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    // No other signal ends a process that waits for a pipe's writer.
    const deadline = setTimeout(() => child.kill('SIGKILL'), 20_000);
    const [said] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    clearTimeout(deadline);
    assert.equal(child.exitCode, 1);
    assert.match(
      said,
      /talk\.mp4 is a pipe or a device; send it into standard input: audiowave convert - < /,
    );
  });
});
