import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { ANN, login } from '../support/client.ts';
import { decode } from '../support/decode.ts';
import { listen } from '../support/listen.ts';
import { media } from '../support/media.ts';
import { audiowave, Program } from '../support/program.ts';
import { tempFolder } from '../support/temp.ts';

suite('audiowave serve', () => {
  test('says where it listens, how to make an account, and the curl lines with host and port filled in', async (t) => {
    const program = await Program.start(join(await tempFolder(t), 'data'));
    t.after(() => program.stop());
    assert.match(program.stdout, /npx audiowave user add ann@example\.com --password-stdin/);
    for (const line of [
      `curl -s -X POST ${program.url}/login -u ann@example.com:secret`,
      `curl -X POST -F "file=@video.mp4" -H "Authorization: Bearer $TOKEN" ${program.url}/upload`,
      `--output out.mp3 "${program.url}/download?fid=<fid from the mail>"`,
    ]) {
      assert.ok(program.stdout.includes(line), program.stdout);
    }
    assert.match(program.stdout, /mail +stays in the outbox/);
    assert.match(program.stdout, /encoder +ffmpeg/);
  });

  test('ends with code 0 on SIGTERM, and within its bound', async (t) => {
    const program = await Program.start(join(await tempFolder(t), 'data'));
    const begun = Date.now();
    assert.equal(await program.stop(), 0);
    assert.ok(Date.now() - begun < 5_000);
  });

  test('says in one line that a port is taken, and the way out', async (t) => {
    const port = String(await listen(t, createServer()));
    const ran = await audiowave(['serve'], {
      settings: {
        AUDIOWAVE_DATA: join(await tempFolder(t), 'data'),
        AUDIOWAVE_PORT: port,
        LOG_LEVEL: 'silent',
      },
    });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      new RegExp(`^audiowave: Port ${port} on 127\\.0\\.0\\.1 is taken.*AUDIOWAVE_PORT=\\d+ npm start\n$`),
    );
  });

  test('reports every wrong setting at once, by name, and exits with 2', async () => {
    const ran = await audiowave(['serve', '--max-upload', 'much'], {
      settings: { AUDIOWAVE_PORT: '99999', REGISTRATION: 'maybe', RABBITMQ_HOST: 'rabbitmq:x' },
    });
    assert.equal(ran.code, 2);
    for (const name of [
      'AUDIOWAVE_PORT "99999"',
      'REGISTRATION "maybe"',
      '--max-upload "much"',
      'RABBITMQ_HOST',
    ]) {
      assert.ok(ran.stderr.includes(name), ran.stderr);
    }
  });

  test('listens on the loopback only, and closes registration on any other address', async (t) => {
    const program = await Program.start(join(await tempFolder(t), 'data'), { AUDIOWAVE_HOST: '0.0.0.0' });
    t.after(() => program.stop());
    const url = program.url.replace('0.0.0.0', '127.0.0.1').replace('localhost', '127.0.0.1');
    const answer = await fetch(`${url}/api/v1/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(ANN),
    });
    assert.equal(answer.status, 403);
    assert.equal(((await answer.json()) as { code: string }).code, 'auth.registration-closed');
  });

  test('makes the first administrator from BOOTSTRAP_ADMIN_*, and keeps its secret readable for its owner only', async (t) => {
    const data = join(await tempFolder(t), 'data');
    const settings = {
      BOOTSTRAP_ADMIN_EMAIL: 'Root@example.com',
      BOOTSTRAP_ADMIN_PASSWORD: 'first password',
    };
    const program = await Program.start(data, settings);
    t.after(() => program.stop());
    await login(program.url, { email: 'root@EXAMPLE.com', password: 'first password' });
    assert.equal((await stat(join(data, 'jwt-secret'))).mode & 0o777, 0o600);
    assert.ok(!program.stderr.includes('first password'));
  });
});

suite('audiowave user', () => {
  test('adds, lists, changes and removes accounts while the server runs, and says which data folder it used', async (t) => {
    const data = join(await tempFolder(t), 'data');
    const program = await Program.start(data);
    t.after(() => program.stop());
    const settings = { AUDIOWAVE_DATA: data };

    const added = await audiowave(['user', 'add', ANN.email, '--password-stdin', '--role', 'admin'], {
      stdin: 'secret',
      settings,
    });
    assert.deepEqual(
      [added.code, added.stderr],
      [0, `Added ann@example.com (admin) in data folder ${data}.\n`],
    );
    await login(program.url);
    const again = await audiowave(['user', 'add', 'ANN@example.com', '--password-stdin'], {
      stdin: 'secret',
      settings,
    });
    assert.equal(again.code, 1);
    assert.match(again.stderr, /account of this e-mail address already/);
    const listed = await audiowave(['user', 'list'], { settings });
    assert.equal(listed.stdout.toString(), 'ann@example.com\tadmin\n');
    const changed = await audiowave(['user', 'passwd', ANN.email, '--password-stdin'], {
      stdin: 'another one\n',
      settings,
    });
    assert.equal(changed.code, 0, changed.stderr);
    await login(program.url, { email: ANN.email, password: 'another one' });
    assert.equal((await audiowave(['user', 'remove', ANN.email], { settings })).code, 0);
    assert.equal((await audiowave(['user', 'remove', ANN.email], { settings })).code, 1);
    await assert.rejects(login(program.url, { email: ANN.email, password: 'another one' }));
  });
});

suite('audiowave convert', () => {
  for (const encoder of ['ffmpeg', 'node-av']) {
    test(`converts several files at once, each beside its video, by ${encoder}`, async (t) => {
      const folder = await tempFolder(t);
      const [one, two] = [join(folder, 'one.mp4'), join(folder, '-two: 100 %.mkv')];
      await writeFile(one, await readFile((await media('mp4-index-last')).path));
      await writeFile(two, await readFile((await media('mkv-flac')).path));
      const ran = await audiowave(['convert', '--encoder', encoder, 'one.mp4', './-two: 100 %.mkv'], {
        cwd: folder,
      });
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual((await readdir(folder)).sort(), [
        '-two: 100 %.mkv',
        '-two: 100 %.mp3',
        'one.mp3',
        'one.mp4',
      ]);
      for (const mp3 of ['one.mp3', '-two: 100 %.mp3'])
        assert.deepEqual((await decode(join(folder, mp3))).warnings, []);
    });
  }

  test('reads standard input and writes standard output, with a right header', async (t) => {
    const source = await media('mkv-aac');
    const ran = await audiowave(['convert', '-', '--vbr', '2'], { stdin: await readFile(source.path) });
    assert.equal(ran.code, 0, ran.stderr);
    const mp3 = join(await tempFolder(t), 'out.mp3');
    await writeFile(mp3, ran.stdout);
    const decoded = await decode(mp3);
    assert.deepEqual(decoded.warnings, []);
    assert.ok(Math.abs(decoded.durationMs - source.durationMs) <= 50);
  });

  test('exits with 1 where one video fails, converts the others, and leaves nothing half-written', async (t) => {
    const folder = await tempFolder(t);
    const bad = (await media('no-sound')).path;
    const ran = await audiowave([
      'convert',
      bad,
      (await media('wav')).path,
      join(folder, 'missing.mp4'),
      '-o',
      folder,
    ]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /silent\.mp4: .*no sound/i);
    assert.match(ran.stderr, /missing\.mp4/);
    assert.deepEqual(await readdir(folder), ['sound.mp3']);
  });

  test('does not replace a file unless told to', async (t) => {
    const out = join(await tempFolder(t), 'talk.mp3');
    await writeFile(out, 'precious');
    const source = (await media('wav')).path;
    const refused = await audiowave(['convert', source, '-o', out]);
    assert.equal(refused.code, 1);
    assert.equal(await readFile(out, 'utf8'), 'precious');
    assert.equal(
      (await audiowave(['convert', source, '-o', out, '--overwrite', '--bitrate', '128k'])).code,
      0,
    );
    assert.deepEqual((await decode(out)).warnings, []);
  });

  test('exits with 2 where it does not understand the call', async () => {
    for (const args of [
      [],
      ['a.mp4', '--bitrate', '1000k'],
      ['a.mp4', '--vbr', '12'],
      ['a.mp4', 'b.mp4', '-o', 'c.mp3'],
      ['talk.mp4', 'talk.mkv'],
      ['--what'],
    ]) {
      const ran = await audiowave(['convert', ...args]);
      assert.equal(ran.code, 2, args.join(' '));
    }
    assert.equal((await audiowave(['sing'])).code, 2);
  });
});

suite('audiowave doctor', () => {
  test('says what was found, and 0 where nothing is missing', async (t) => {
    const data = join(await tempFolder(t), 'data');
    const ran = await audiowave(['doctor'], { settings: { AUDIOWAVE_DATA: data, AUDIOWAVE_PORT: '0' } });
    assert.equal(ran.code, 0, ran.stdout.toString());
    for (const word of ['Node 2', 'Encoder: ffmpeg', data, 'outbox'])
      assert.ok(ran.stdout.toString().includes(word), ran.stdout.toString());
  });

  test('says what to do where the encoder is missing, with 1', async (t) => {
    const ran = await audiowave(['doctor'], {
      settings: {
        AUDIOWAVE_DATA: await tempFolder(t),
        AUDIOWAVE_ENCODER: 'ffmpeg',
        AUDIOWAVE_FFMPEG: '/nowhere/ffmpeg',
      },
    });
    assert.equal(ran.code, 1);
    assert.match(ran.stdout.toString(), /✗ Encoder: /);
  });
});
