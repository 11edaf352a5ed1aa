import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runHost, testConfig } from '../support/hosts.ts';
import { media } from '../support/media.ts';
import { audiowave } from '../support/program.ts';
import { freePort } from '../support/servers/server-process.ts';
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

  test('output that nobody reads to its end is no failure', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const said = text(child.stderr);
    const [code] = (await once(child, 'close')) as [number | null];
    assert.deepEqual([code, await said], [0, '']);
  });

  test('doctor asks the servers of the named roles, says which is of no use and what to set, and no password', async (t) => {
    const auth = await runHost(t, await testConfig(t), ['auth']);
    const [smtp, none] = [await freePort(), await freePort()];
    const settings = {
      AUDIOWAVE_DATA: await tempFolder(t),
      AUDIOWAVE_PORT: '0',
      AUTH_URL: String(auth.url),
      BROKER_URL: `amqp://ann:hunter22@127.0.0.1:${String(none)}/flow`,
      MAIL_URL: `smtp://ann:hunter22@127.0.0.1:${String(smtp)}`,
    };
    const gateway = await audiowave(['doctor', 'gateway'], { settings });
    const said = gateway.stdout.toString();
    assert.equal(gateway.code, 1, said);
    assert.ok(said.includes(`✓ Auth: ${String(auth.url)} answers\n`), said);
    assert.match(
      said,
      /^✗ Broker: amqp:\/\/127\.0\.0\.1:\d+\/flow: .*ECONNREFUSED.* BROKER_URL, or RABBITMQ_HOST/m,
    );
    assert.doesNotMatch(said, /Mail|Encoder|Accounts|hunter22/);
    const all = await audiowave(['doctor'], {
      settings: { ...settings, USERS_URL: 'mysql://u:hunter22@127.0.0.1:1/auth' },
    });
    const told = all.stdout.toString();
    assert.match(told, /^✗ Not set: JWT_SECRET/m);
    assert.match(told, /^✗ Accounts: mysql:\/\/127\.0\.0\.1:1\/auth: .*ECONNREFUSED/m);
    assert.match(told, /^✗ Mail: smtp:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/m);
    assert.doesNotMatch(told + all.stderr, /hunter22/);
    const fine = await audiowave(['doctor', 'gateway'], { settings: { ...settings, BROKER_URL: '' } });
    assert.equal(fine.code, 0, fine.stdout.toString());
  });

  test('queues and user say which server is away, with 1 and no password', async (t) => {
    const port = String(await freePort());
    const settings = {
      AUDIOWAVE_DATA: await tempFolder(t),
      BROKER_URL: `amqp://ann:hunter22@127.0.0.1:${port}`,
      USERS_URL: `mysql://ann:hunter22@127.0.0.1:${port}/auth`,
    };
    for (const args of [
      ['queues'],
      ['queues', 'dead', 'video'],
      ['queues', 'replay', 'mp3'],
      ['user', 'list'],
    ]) {
      const { code, stderr } = await audiowave(args, { settings });
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${port}`), args.join(' '));
      assert.doesNotMatch(stderr, /hunter22|\n +at /);
    }
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
