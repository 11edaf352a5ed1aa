import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { login } from '../support/client.ts';
import { eventually } from '../support/eventually.ts';
import { childrenOf, isAlive } from '../support/processes.ts';
import { freePort } from '../support/servers/server-process.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/distributed.ts', import.meta.url));

suite('npm run distributed', () => {
  test(
    'prints an account that can log in; Ctrl+C ends everything with 0',
    { timeout: 180_000 },
    async (t) => {
      const port = await freePort();
      const child = spawn(process.execPath, [SCRIPT, '--port', String(port)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.after(() => child.kill('SIGKILL'));
      const exit = once(child, 'exit');
      let printed = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
      const [, email = '', password = ''] = await eventually(
        'it says that all runs',
        () => /account +(\S+), password (\S+)/.exec(printed),
        120_000,
      );
      await login(`http://127.0.0.1:${String(port)}`, { email, password });
      assert.match(printed, /^gateway-1 +\S/m, 'lines say which process they are of');

      const started = await childrenOf(child.pid ?? 0);
      assert.ok(started.length >= 8, 'four processes and four servers');
      child.kill('SIGINT');
      child.kill('SIGINT');
      assert.deepEqual(await exit, [0, null]);
      for (const { pid, commandLine } of started) assert.equal(await isAlive(pid), false, commandLine);
    },
  );

  test('says what to install where a server is missing', async () => {
    const child = spawn(process.execPath, [SCRIPT], {
      env: { PATH: '/nowhere' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 1);
    assert.match(said, /^Not found: .*mariadbd.*rabbitmq-server/);
    assert.match(said, /apt-get install .*mariadb-server rabbitmq-server/);
  });
});
