import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { curl, download, login, readOutbox, register, settled } from '../support/client.ts';
import { decode } from '../support/decode.ts';
import { eventually } from '../support/eventually.ts';
import { media } from '../support/media.ts';
import { Program } from '../support/program.ts';
import { tempFolder } from '../support/temp.ts';
import { serveVideo } from '../support/video-server.ts';

/** A program in the middle of a fetch from a server that has sent half of a video and says no more. */
async function whileFetching(
  t: TestContext,
  settings: Readonly<Record<string, string>>,
): Promise<{ program: Program; data: string; token: string; id: string; recover: () => void }> {
  const bytes = await readFile((await media('mp4-index-last', { seconds: 20 })).path);
  let isSlow = true;
  const server = await serveVideo(t, (_request, response: ServerResponse) => {
    response.setHeader('content-length', bytes.byteLength);
    if (isSlow) response.write(bytes.subarray(0, bytes.byteLength / 2));
    else response.end(bytes);
  });
  const data = join(await tempFolder(t), 'data');
  const program = await Program.start(data, { IMPORT_ALLOW: '127.0.0.1', ...settings });
  t.after(() => program.kill());
  await register(program.url);
  const token = await login(program.url);
  const body = JSON.stringify({ url: `${server.url}/talk.mp4`, access_token: token });
  const answer = await curl(
    ...['-X', 'POST', '-H', 'content-type: application/json', '-d', body, `${program.url}/upload`],
  );
  assert.deepEqual([answer.status, answer.body], [200, 'success!']);
  const id = answer.headers['x-conversion-id']?.[0] ?? '';
  await eventually('half of the video is written', async () => {
    const [name] = await readdir(join(data, 'videos', 'partial'));
    return name !== undefined && (await readFile(join(data, 'videos', 'partial', name))).byteLength > 0;
  });
  const recover = (): void => {
    isSlow = false;
  };
  return { program, data, token, id, recover };
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

suite('a video that is fetched from a slow server', () => {
  const ends: readonly [string, (program: Program) => Promise<unknown>][] = [
    ['SIGKILL', (program) => program.kill()],
    ['SIGTERM', (program) => program.stop()],
  ];
  for (const [signal, end] of ends) {
    test(`is fetched once more after ${signal}, and becomes one MP3 with one mail`, async (t) => {
      const { program, data, token, id, recover } = await whileFetching(t, { SHUTDOWN_GRACE: '100ms' });
      await end(program);
      recover();
      const next = await Program.start(data, { IMPORT_ALLOW: '127.0.0.1' });
      t.after(() => next.stop());
      const ended = await settled(next.url, token, id, 90_000);
      assert.deepEqual([ended.state, ended.name, ended.incomplete], ['ready', 'talk.mp4', false]);
      const mp3 = join(data, 'talk.mp3');
      await download(next.url, token, ended.mp3Fid ?? '', mp3);
      assert.equal(Math.round((await decode(mp3)).durationMs / 1_000), 20);
      assert.deepEqual(await filesBelow(join(data, 'mp3s')), [ended.mp3Fid]);
      assert.deepEqual(await filesBelow(join(data, 'videos')), [id]);
      await eventually('its mail has come', async () => {
        const mails = await readOutbox(next.outboxFolder);
        return mails.length === 1 && mails[0]?.messageId.includes(id) === true;
      });
    });
  }
});
