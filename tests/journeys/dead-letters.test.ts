import assert from 'node:assert/strict';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { readOutbox, settled, upload } from '../support/client.ts';
import { eventually } from '../support/eventually.ts';
import { media } from '../support/media.ts';
import { audiowave, type Ran } from '../support/program.ts';
import { mustRun } from '../support/run-program.ts';
import { programSuite } from '../support/program-suite.ts';
import { suiteFolder } from '../support/temp.ts';

suite('dead letters, from the failure to the second mail', () => {
  const place = suiteFolder({ before, after });
  const settings: Record<string, string> = { MAX_ATTEMPTS: '1', AUDIOWAVE_ENCODER: 'ffmpeg' };
  let broken = '';
  before(async () => {
    // An ffmpeg that dies over every video for as long as a file lies beside it.
    broken = join(place(), 'broken');
    await writeFile(broken, '');
    const program = join(place(), 'ffmpeg');
    const real = (await mustRun('sh', ['-c', 'command -v ffmpeg'])).stdout.toString().trim();
    const dies = `case "$*" in *-progress*) [ -e '${broken}' ] && kill -9 $$;; esac`;
    await writeFile(program, `#!/bin/sh\n${dies}\nexec ${real} "$@"\n`);
    await chmod(program, 0o755);
    settings.AUDIOWAVE_FFMPEG = program;
  });
  const run = programSuite(settings);

  const queues = (...args: string[]): Promise<Ran> =>
    audiowave(['queues', ...args], { settings: { AUDIOWAVE_DATA: run.program.dataFolder } });

  const deadIn = async (queue: string): Promise<number> => {
    const { stdout, code } = await queues();
    assert.equal(code, 0);
    const row = stdout
      .toString()
      .split('\n')
      .find((line) => line.startsWith(`${queue} `));
    return Number(row?.trim().split(/ +/)[3]);
  };

  test('one that failed is shown, sent again when the encoder is mended, converted and mailed', async () => {
    const { program, token } = run;
    const { path } = await media('mp4-index-first');
    const id = await upload(program.url, token, path);
    const failed = await settled(program.url, token, id);
    assert.deepEqual([failed.state, failed.failure?.code], ['failed', 'audio.encoder-failed']);
    await eventually('it is a dead letter', async () => (await deadIn('video')) === 1);

    const shown = await queues('dead', 'video');
    assert.equal(shown.code, 0);
    const [head, row, ...more] = shown.stdout.toString().trimEnd().split('\n');
    assert.match(head ?? '', /^id +username +video_fid +attempts +age +reason$/);
    assert.match(
      row ?? '',
      new RegExp(`^video-${id} +ann@example\\.com +${id} +1 +\\d+[sm] +audio\\.encoder-failed$`),
    );
    assert.deepEqual(more, []);

    await rm(broken);
    const replayed = await queues('replay', 'video', `video-${id}`);
    assert.deepEqual([replayed.code, replayed.stderr], [0, 'Sent 1 dead letter again.\n']);
    await eventually('it is ready', async () => (await settled(program.url, token, id)).state === 'ready');
    assert.equal(await deadIn('video'), 0);
    const mails = (await readOutbox(program.outboxFolder)).filter(({ messageId }) => messageId.includes(id));
    assert.deepEqual(mails.map(({ subject }) => subject).sort(), ['MP3 Download', 'MP3 conversion failed']);
  });

  test('one whose video is gone stays, with the reason, until it is dropped', async () => {
    const { program, token } = run;
    await writeFile(broken, '');
    const id = await upload(program.url, token, (await media('mp4-index-first')).path);
    await settled(program.url, token, id);
    await eventually('it is a dead letter', async () => (await deadIn('video')) === 1);
    await rm(broken);
    const answer = await fetch(`${program.url}/api/v1/conversions/${id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 204);
    const replayed = await queues('replay', 'video');
    assert.equal(replayed.code, 1);
    assert.equal(
      replayed.stderr,
      `Not sent again: video-${id}: its video is gone. Forget it: audiowave queues drop video 'video-${id}'\n`,
    );
    assert.equal((await queues('drop', 'video')).code, 2);
    const dropped = await queues('drop', 'video', `video-${id}`);
    assert.deepEqual([dropped.code, dropped.stderr], [0, 'Dropped 1 dead letter of video.\n']);
    assert.equal(await deadIn('video'), 0);
    assert.equal((await queues('drop', 'video', `video-${id}`)).code, 1);
    assert.deepEqual((await queues('drop', 'video', '--all')).code, 0);
  });

  test('a call that is not understood is answered with 2', async () => {
    for (const args of [
      ['dead'],
      ['dead', 'nobody'],
      ['purge'],
      ['drop', 'mp3', 'x', '--all'],
      ['dead', 'mp3', '--limit', '0'],
    ]) {
      const { code, stderr } = await queues(...args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    }
    assert.match((await queues('dead', 'mp3')).stderr, /^No dead letters in mp3\.\n$/);
  });
});
