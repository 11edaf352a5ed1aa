import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { suite, test } from 'node:test';
import { conversion, curl, download, settled, upload } from '../support/client.ts';
import { decode } from '../support/decode.ts';
import { ADMIN, type Distributed } from '../support/distributed.ts';
import { distributedSuite } from '../support/distributed-suite.ts';
import { eventually } from '../support/eventually.ts';
import { media } from '../support/media.ts';
import type { ReceivedMail } from '../support/servers/smtp-process.ts';
import { serveVideo } from '../support/video-server.ts';

async function mailOf(all: Distributed, conversionId: string): Promise<ReceivedMail> {
  return eventually('its mail arrives', async () =>
    (await all.servers.smtp.mails()).find(({ messageId }) => messageId.includes(conversionId)),
  );
}

suite('four processes on MariaDB, RabbitMQ, MongoDB and SMTP', () => {
  const run = distributedSuite({ settings: { IMPORT_ALLOW: '127.0.0.1' } });

  test('the curl lines of the family: log in, upload, a mail, a download', async () => {
    const { all, url, folder } = run;
    const { email, password } = ADMIN;
    const loggedIn = await curl('-X', 'POST', `${url}/login`, '-u', `${email}:${password}`);
    assert.equal(loggedIn.status, 200);
    const token = loggedIn.body;

    const video = await media('mp4-index-last');
    const id = await upload(url, token, video.path);
    const ended = await settled(url, token, id);
    assert.equal(ended.state, 'ready', JSON.stringify(ended.failure));

    const mail = await mailOf(all, id);
    assert.deepEqual([mail.to, mail.subject], [email, 'MP3 Download']);
    const fid = /^File ID: ([0-9a-f]{24})$/m.exec(mail.text)?.[1] ?? '';
    assert.equal(fid, ended.mp3Fid);
    const lines = mail.text.split(/\r?\n/);
    for (const line of [`mp3 file_id: ${fid} is now ready!`, 'Your MP3 file is ready!', `File ID: ${fid}`]) {
      assert.ok(lines.includes(line), `the mail has no line "${line}"`);
    }
    assert.ok(mail.text.includes(basename(video.path)), 'the mail names the video');

    const mp3 = join(folder, 'out.mp3');
    await download(url, token, fid, mp3);
    const decoded = await decode(mp3);
    assert.deepEqual(decoded.warnings, []);
    assert.ok(Math.abs(decoded.durationMs - video.durationMs) < 60, `${String(decoded.durationMs)} ms`);

    const link = /^http\S+$/m.exec(mail.text)?.[0] ?? '';
    const oneClick = await fetch(link);
    assert.equal(oneClick.headers.get('content-type'), 'audio/mpeg');
    assert.deepEqual(Buffer.from(await oneClick.arrayBuffer()), await readFile(mp3));
  });

  test('auth answers the calls of the family on its own port', async () => {
    const auth = run.all.one('auth').url;
    const token = await curl('-X', 'POST', `${auth}/login`, '-u', `${ADMIN.email}:${ADMIN.password}`);
    const valid = await curl('-X', 'POST', `${auth}/validate`, '-H', `Authorization: Bearer ${token.body}`);
    assert.equal(valid.status, 200);
    assert.equal((JSON.parse(valid.body) as { username: string }).username, ADMIN.email);
    const wrong = await curl('-X', 'POST', `${run.url}/login`, '-u', `${ADMIN.email}:wrong`);
    assert.deepEqual([wrong.status, wrong.body], [401, 'invalid credentials']);
    const forged = await curl(
      ...['-X', 'POST', '-F', `file=@${(await media('mp4-tiny')).path}`],
      ...['-H', 'Authorization: Bearer x.y.z', `${run.url}/upload`],
    );
    assert.deepEqual([forged.status, forged.body], [403, 'not authorized']);
  });

  test('a URL request is fetched, converted and mailed', async (t) => {
    const video = await media('webm-opus');
    const server = await serveVideo(t, (_request, response) => {
      createReadStream(video.path).pipe(response);
    });
    const body = JSON.stringify({ url: `${server.url}/talk.webm`, access_token: run.token });
    const answer = await curl(
      ...['-X', 'POST', '-H', 'content-type: application/json', '-d', body, `${run.url}/upload`],
    );
    assert.deepEqual([answer.status, answer.body], [200, 'success!']);
    const id = answer.headers['x-conversion-id']?.[0] ?? '';
    const ended = await settled(run.url, run.token, id);
    assert.deepEqual([ended.state, ended.name], ['ready', 'talk.webm']);
    assert.ok((await mailOf(run.all, id)).text.includes(ended.mp3Fid ?? '?'));
  });

  test('a video without sound fails, and the mail says why', async () => {
    const id = await upload(run.url, run.token, (await media('no-sound')).path);
    const ended = await settled(run.url, run.token, id);
    assert.deepEqual([ended.state, ended.failure?.code], ['failed', 'audio.no-sound']);
    const mail = await mailOf(run.all, id);
    assert.equal(mail.subject, 'MP3 conversion failed');
    assert.match(mail.text, /no sound/);
    assert.deepEqual(await run.all.servers.rabbitmq.manage('GET', '/queues/%2F/mp3').then(messagesOf), 0);
  });

  test('a range of an MP3 is the same bytes as in the whole', async () => {
    const { url, token, folder } = run;
    const id = await upload(url, token, (await media('mkv-aac', { seconds: 40 })).path);
    const { mp3Fid, mp3Bytes } = await settled(url, token, id);
    const whole = join(folder, 'whole.mp3');
    await download(url, token, mp3Fid ?? '', whole);
    const bytes = await readFile(whole);
    assert.equal(bytes.length, mp3Bytes);
    // Over the border between the first and the second chunk of GridFS, and the very end.
    for (const [first, last] of [
      [261_000, 261_300],
      [bytes.length - 10, bytes.length - 1],
    ] as const) {
      const answer = await fetch(`${url}/download?fid=${mp3Fid ?? ''}`, {
        headers: { authorization: `Bearer ${token}`, range: `bytes=${String(first)}-${String(last)}` },
      });
      assert.equal(answer.status, 206);
      assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes.subarray(first, last + 1));
    }
  });

  test('nobody downloads what is not his', async () => {
    const id = await upload(run.url, run.token, (await media('mp4-tiny')).path);
    const { mp3Fid } = await settled(run.url, run.token, id);
    const other = { email: 'bob@example.com', password: 'another secret' };
    const made = await fetch(`${run.url}/api/v1/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(other),
    });
    assert.equal(made.status, 201, await made.text());
    const bob = await curl('-X', 'POST', `${run.url}/login`, '-u', `${other.email}:${other.password}`);
    const stolen = await curl(
      '-H',
      `Authorization: Bearer ${bob.body}`,
      `${run.url}/download?fid=${mp3Fid ?? ''}`,
    );
    assert.deepEqual([stolen.status, stolen.body], [404, 'not found']);
  });

  test('a conversion of the record is seen by every process', async () => {
    const id = await upload(run.url, run.token, (await media('mp4-tiny')).path);
    await settled(run.url, run.token, id);
    assert.equal((await conversion(run.url, run.token, id)).progressPercent, 100);
  });
});

function messagesOf(queue: unknown): number {
  return (queue as { messages?: number }).messages ?? 0;
}
