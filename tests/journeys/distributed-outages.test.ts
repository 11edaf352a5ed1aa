import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { curl, login, settled, upload, type Curled } from '../support/client.ts';
import { ADMIN, Distributed, type ServerName } from '../support/distributed.ts';
import { distributedSuite } from '../support/distributed-suite.ts';
import { media } from '../support/media.ts';
import type { Role } from '../support/role-process.ts';
import { tempFolder } from '../support/temp.ts';

/** Who can't do its work without which server. */
const NEEDS: Readonly<Record<ServerName, readonly Role[]>> = {
  mariadb: ['auth'],
  rabbitmq: ['gateway', 'converter', 'notification'],
  mongodb: ['gateway', 'converter', 'notification'],
  smtp: ['notification'],
};

async function tryUpload(url: string, token: string, path: string): Promise<Curled> {
  return curl(
    ...['-X', 'POST', '-F', `file=@${path}`, '-H', `Authorization: Bearer ${token}`, `${url}/upload`],
  );
}

suite('a server that is away', () => {
  const run = distributedSuite();

  /** Kills a server, does something once everybody knows it, and brings the server back. */
  async function whileAway(server: ServerName, work: () => Promise<void>): Promise<void> {
    const { all } = run;
    const pids = all.roles.map((role) => role.pid);
    await all.servers[server].kill();
    for (const role of NEEDS[server]) {
      const { checks } = await all.one(role).unready();
      const red = checks.filter((check) => !check.ok);
      assert.ok(red.length > 0 && red.every(({ message }) => (message ?? '') !== ''), JSON.stringify(checks));
    }
    try {
      await work();
    } finally {
      await all.servers[server].restart();
    }
    for (const role of all.roles) await role.ready();
    assert.deepEqual(
      all.roles.map((role) => role.pid),
      pids,
      'nobody was started again',
    );
  }

  test('MongoDB: uploads are answered with 500, nothing is kept, and all goes on afterwards', async () => {
    const { path } = await media('mp4-tiny');
    await whileAway('mongodb', async () => {
      const begun = Date.now();
      const answer = await tryUpload(run.url, run.token, path);
      assert.deepEqual([answer.status, answer.body], [500, 'internal server error']);
      assert.ok(Date.now() - begun < 15_000, 'it is said in bounded time');
    });
    const id = await upload(run.url, run.token, path);
    assert.equal((await settled(run.url, run.token, id)).state, 'ready');
  });

  test('RabbitMQ: uploads are answered with success, and converted when it is back', async () => {
    const { path } = await media('mp4-tiny');
    const ids: string[] = [];
    await whileAway('rabbitmq', async () => {
      for (let n = 0; n < 3; n++) ids.push(await upload(run.url, run.token, path));
    });
    for (const id of ids) assert.equal((await settled(run.url, run.token, id)).state, 'ready');
  });

  test('MariaDB: nobody logs in, and a token that is there goes on working', async () => {
    const { path } = await media('mp4-tiny');
    await whileAway('mariadb', async () => {
      const refused = await curl('-X', 'POST', `${run.url}/login`, '-u', `${ADMIN.email}:${ADMIN.password}`);
      assert.deepEqual([refused.status, refused.body], [500, 'internal server error']);
      const id = await upload(run.url, run.token, path);
      assert.equal((await settled(run.url, run.token, id)).state, 'ready');
    });
    await login(run.url, ADMIN);
  });

  test('the mail server: conversions are ready, and their mails wait', async () => {
    const { all, url, token } = run;
    const before = (await all.servers.smtp.mails()).length;
    const ids: string[] = [];
    await whileAway('smtp', async () => {
      for (const name of ['mp4-tiny', 'no-sound'] as const)
        ids.push(await upload(url, token, (await media(name)).path));
    });
    const ended = [];
    for (const id of ids) ended.push((await settled(url, token, id)).state);
    assert.deepEqual(ended, ['ready', 'failed']);
    assert.equal((await all.servers.smtp.mails()).length, before + 2);
  });
});

suite('start order', () => {
  test('roles wait for servers: red, then green, and SIGTERM ends the wait with 0', async (t) => {
    const all = await Distributed.prepare({ folder: await tempFolder(t) });
    t.after(() => all.stop());
    const servers = all.serverList.map(([, server]) => server);
    await Promise.all(servers.map((server) => server.kill()));

    await Promise.all(all.roles.map((role) => role.start()));
    for (const role of all.roles) {
      const { checks } = await role.unready();
      assert.ok(
        checks.some(({ ok, message }) => !ok && message !== undefined),
        JSON.stringify(checks),
      );
    }
    assert.deepEqual(await Promise.all(all.roles.map((role) => role.stop())), [0, 0, 0, 0]);

    await Promise.all(all.roles.map((role) => role.start()));
    const pids = all.roles.map((role) => role.pid);
    await Promise.all(servers.map((server) => server.restart()));
    await Promise.all(all.roles.map((role) => role.ready()));
    assert.deepEqual(
      all.roles.map((role) => role.pid),
      pids,
      'no restarts',
    );

    const token = await login(all.gatewayUrl, ADMIN);
    const id = await upload(all.gatewayUrl, token, (await media('mp4-tiny')).path);
    assert.equal((await settled(all.gatewayUrl, token, id)).state, 'ready');
  });
});
