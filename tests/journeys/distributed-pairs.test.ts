import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { conversion, curl, settled, upload } from '../support/client.ts';
import type { Distributed } from '../support/distributed.ts';
import { distributedSuite } from '../support/distributed-suite.ts';
import { eventually } from '../support/eventually.ts';
import { longMedia, media } from '../support/media.ts';
import { childrenOf, isAlive } from '../support/processes.ts';
import type { RoleProcess } from '../support/role-process.ts';

/** The converter that has an encoder at work, and that encoder's process id. */
async function encoderAtWork(all: Distributed): Promise<{ converter: RoleProcess; encoder: number }> {
  return eventually(
    'an encoder program runs',
    async () => {
      for (const converter of all.of('converter').filter((one) => one.runs)) {
        const [encoder] = await childrenOf(converter.pid);
        if (encoder !== undefined) return { converter, encoder: encoder.pid };
      }
      return undefined;
    },
    60_000,
  );
}

suite('two processes of each role', () => {
  const run = distributedSuite({
    processes: { auth: 2, gateway: 2, converter: 2, notification: 2 },
    settings: { SHUTDOWN_GRACE: '1s', CONVERSIONS: '1' },
  });

  test('cancelling at one gateway stops the encoder of a converter elsewhere within 5 s', async () => {
    const { all, token } = run;
    const [a, b] = [all.named('gateway-1'), all.named('gateway-2')];
    const id = await upload(a.url, token, (await longMedia(600)).path);
    const { encoder } = await encoderAtWork(all);
    await eventually('it converts', async () => (await conversion(b.url, token, id)).state === 'converting');

    const removed = await fetch(`${b.url}/api/v1/conversions/${id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(removed.status, 204);
    await eventually('the encoder program is gone', async () => !(await isAlive(encoder)), 5_000);
    assert.equal((await conversion(a.url, token, id)).state, 'cancelled');
  });

  test('SIGTERM hands a conversion back uncounted, and another converter does it', async () => {
    const { all, url, token } = run;
    const id = await upload(url, token, (await longMedia(600)).path);
    const { converter, encoder } = await encoderAtWork(all);
    assert.equal(await converter.stop(), 0);
    assert.equal(await isAlive(encoder), false);
    const other = await encoderAtWork(all);
    assert.notEqual(other.converter.name, converter.name);
    const ended = await settled(url, token, id, 180_000);
    assert.deepEqual([ended.state, ended.durationMs], ['ready', 600_000]);
    assert.equal((ended as unknown as { attempts: number }).attempts, 1);
    await all.startRoles();
  });

  test('each process of each role can be stopped in turn while uploads go on', async () => {
    const { all, token } = run;
    const { path } = await media('mp4-tiny');
    const ids: string[] = [];
    for (const role of all.roles) {
      assert.equal(await role.stop(), 0, role.name);
      // A gateway asks its own auth: the pair that is left serves.
      const gateway = all.named(role.name.endsWith('1') ? 'gateway-2' : 'gateway-1');
      ids.push(await upload(gateway.url, token, path));
      await role.start();
      await role.ready();
    }
    for (const id of ids) {
      const ended = await settled(all.gatewayUrl, token, id);
      assert.equal(ended.state, 'ready', JSON.stringify(ended));
    }
    const mails = await all.servers.smtp.mails();
    for (const id of ids) {
      assert.equal(mails.filter(({ messageId }) => messageId.includes(id)).length, 1, `mails of ${id}`);
    }
  });

  test('both gateways know the same tokens and records', async () => {
    const { all, token } = run;
    const id = await upload(all.named('gateway-2').url, token, (await media('mp4-tiny')).path);
    assert.equal((await settled(all.named('gateway-1').url, token, id)).state, 'ready');
    const list = await curl(
      ...['-H', `Authorization: Bearer ${token}`, `${all.named('gateway-1').url}/api/v1/conversions?limit=1`],
    );
    assert.equal((JSON.parse(list.body) as { items: { id: string }[] }).items[0]?.id, id);
  });
});
