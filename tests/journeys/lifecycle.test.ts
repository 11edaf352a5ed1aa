import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { conversion, curl, login, register, settled, upload } from '../support/client.ts';
import { eventually } from '../support/eventually.ts';
import { longMedia, media } from '../support/media.ts';
import { childrenOf, isAlive } from '../support/processes.ts';
import { Program } from '../support/program.ts';
import { tempFolder } from '../support/temp.ts';

/** A program that converts ten minutes of video, and the process that encodes. */
async function whileConverting(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ program: Program; data: string; token: string; id: string; encoder: number }> {
  const data = join(await tempFolder(t), 'data');
  const program = await Program.start(data, settings);
  t.after(() => program.kill());
  await register(program.url);
  const token = await login(program.url);
  const id = await upload(program.url, token, (await longMedia(600)).path);
  const encoder = await eventually('an encoder program runs and tells its progress', async () => {
    const [child] = await childrenOf(program.child.pid ?? 0);
    const { progressPercent } = await conversion(program.url, token, id);
    return progressPercent !== null && progressPercent > 0 ? child?.pid : undefined;
  });
  return { program, data, token, id, encoder };
}

async function remove(url: string, token: string, id: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/conversions/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token}` },
  });
  return answer.status;
}

async function filesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

suite('a conversion under way', () => {
  for (const encoder of ['ffmpeg', 'node-av']) {
    test(`is cancelled by DELETE, and its ${encoder} process is gone within 2 s`, async (t) => {
      const running = await whileConverting(t, { AUDIOWAVE_ENCODER: encoder });
      const { program, token, id, data } = running;
      assert.equal(await remove(program.url, token, id), 204);
      await eventually('the encoder program is gone', async () => !(await isAlive(running.encoder)), 2_000);
      assert.equal((await conversion(program.url, token, id)).state, 'cancelled');
      await eventually(
        'no byte of the MP3 is left',
        async () => (await filesBelow(join(data, 'mp3s'))) === 0,
      );
      assert.equal(await remove(program.url, token, id), 204);
      const gone = await curl(
        '-H',
        `Authorization: Bearer ${token}`,
        `${program.url}/api/v1/conversions/${id}`,
      );
      assert.equal(gone.status, 404);
    });
  }

  test('is handed back on SIGTERM, and done by the next start', async (t) => {
    const { program, data, token, id, encoder } = await whileConverting(t, { SHUTDOWN_GRACE: '100ms' });
    assert.equal(await program.stop(), 0);
    assert.equal(await isAlive(encoder), false);
    const next = await Program.start(data);
    t.after(() => next.stop());
    const ended = await settled(next.url, token, id, 120_000);
    assert.deepEqual([ended.state, ended.durationMs], ['ready', 600_000]);
  });
});

suite('roles of their own', () => {
  test('auth alone serves the two calls of the family', async (t) => {
    const settings = { BOOTSTRAP_ADMIN_EMAIL: 'ann@example.com', BOOTSTRAP_ADMIN_PASSWORD: 'secret' };
    const auth = await Program.start(join(await tempFolder(t), 'data'), settings, ['auth']);
    t.after(() => auth.stop());
    const token = await login(auth.url);
    const valid = await curl('-X', 'POST', `${auth.url}/validate`, '-H', `Authorization: Bearer ${token}`);
    assert.equal(valid.status, 200);
    assert.equal((JSON.parse(valid.body) as { username: string }).username, 'ann@example.com');
    const bad = await curl('-X', 'POST', `${auth.url}/validate`, '-H', 'Authorization: Bearer x.y.z');
    assert.deepEqual([bad.status, bad.body], [403, 'not authorized']);
  });

  test('gateway, converter and notification in processes of their own share one data folder', async (t) => {
    const data = join(await tempFolder(t), 'data');
    const gateway = await Program.start(data, {}, ['gateway']);
    t.after(() => gateway.stop());
    const [converter, notification] = await Promise.all(
      ['converter', 'notification'].map((role) =>
        Program.start(data, { AUDIOWAVE_PUBLIC_URL: gateway.url }, [role]),
      ),
    );
    t.after(() => Promise.all([converter?.stop(), notification?.stop()]));
    await register(gateway.url);
    const token = await login(gateway.url);
    const id = await upload(gateway.url, token, (await media('mkv-aac')).path);
    assert.equal((await settled(gateway.url, token, id)).state, 'ready');
  });
});
