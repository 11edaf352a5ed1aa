import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { formatBytes, formatDuration } from '../../../src/services/notification/format.ts';
import {
  announce,
  found,
  mailOf,
  notificationStage,
  OWNER,
  PUBLIC_URL,
  settled,
  storeFailed,
  storeReady,
} from '../../support/notification-stage.ts';

test('the mail of an MP3 has the subject and the lines that scripts of the family search for', async (t) => {
  const stage = await notificationStage(t);
  const ready = await storeReady(stage);
  const mail = await mailOf(stage, ready);
  assert.equal(mail.subject, 'MP3 Download');
  assert.deepEqual([mail.to, mail.from], [OWNER, 'noreply@audio.example.com']);
  const fid = String(ready.mp3Fid);
  const lines = mail.text.split('\n');
  for (const line of [`mp3 file_id: ${fid} is now ready!`, 'Your MP3 file is ready!', `File ID: ${fid}`]) {
    assert.ok(lines.includes(line), line);
  }
});

test('name, size and duration stand in the text and in the HTML', async (t) => {
  const stage = await notificationStage(t);
  const mail = await mailOf(stage, await storeReady(stage));
  assert.match(mail.text, /^File: My talk\.mp4$/m);
  assert.match(mail.text, /^Size: 4\.6 MB$/m);
  assert.match(mail.text, /^Duration: 3:10$/m);
  for (const value of ['My talk.mp4', '4.6 MB', '3:10'])
    assert.ok(mail.html.includes(`>${value}</td>`), value);
});

test('what is not known is left out', async (t) => {
  const stage = await notificationStage(t);
  const unknown = { name: null, mp3Bytes: null, durationMs: null };
  const mail = await mailOf(stage, await storeReady(stage, unknown));
  assert.doesNotMatch(mail.text, /^(File|Size|Duration): /m);
  assert.doesNotMatch(`${mail.text}${mail.html}`, /null|undefined|NaN/);
});

test('the link works: the hash of its token stands in the record, and the token nowhere', async (t) => {
  const stage = await notificationStage(t);
  const before = Date.now();
  const ready = await storeReady(stage);
  const mail = await mailOf(stage, ready);
  const token = /^https:\/\/audio\.example\.com\/d\/([\w-]{43})$/m.exec(mail.text)?.[1];
  assert.ok(token, mail.text);
  assert.ok(mail.html.includes(`href="${PUBLIC_URL}/d/${token}"`));
  await settled(stage);
  const { links } = await found(stage, ready.id);
  assert.deepEqual(
    links.map(({ tokenHash }) => tokenHash),
    [createHash('sha256').update(token).digest('hex')],
  );
  const expiresAt = links[0]?.expiresAt ?? 0;
  assert.ok(expiresAt >= before + 7 * 86_400_000 && expiresAt <= Date.now() + 7 * 86_400_000);
  assert.ok(mail.text.includes(new Date(expiresAt).toISOString().slice(0, 16).replace('T', ' ')));
  const kept = JSON.stringify([await found(stage, ready.id), stage.log.entries]);
  assert.ok(!kept.includes(token));
});

test('an MP3 of a video that broke off is said to be incomplete', async (t) => {
  const stage = await notificationStage(t);
  const sentence = 'The video broke off; the MP3 holds the part of it that could be heard.';
  const whole = await mailOf(stage, await storeReady(stage));
  assert.ok(!whole.text.includes(sentence));
  const cut = await mailOf(stage, await storeReady(stage, { incomplete: true }));
  assert.ok(cut.text.includes(sentence) && cut.html.includes(sentence));
});

test('a failed conversion gets a mail with its reason, and nothing that looks like an MP3', async (t) => {
  const stage = await notificationStage(t);
  const failed = await storeFailed(stage);
  const mail = await mailOf(stage, failed);
  assert.equal(mail.subject, 'MP3 conversion failed');
  assert.equal(mail.to, OWNER);
  for (const part of ['My talk.mp4', 'The file has no sound.', 'audio.no-sound', failed.id]) {
    assert.ok(mail.text.includes(part) && mail.html.includes(part), part);
  }
  assert.doesNotMatch(mail.text, /ready|file_id|File ID/);
  await settled(stage);
  const after = await found(stage, failed.id);
  assert.deepEqual([after.mail, after.links], ['sent', []]);
});

test('the Message-ID is made from the conversion and its end', async (t) => {
  const stage = await notificationStage(t);
  const [ready, failed] = [await storeReady(stage), await storeFailed(stage)];
  assert.equal((await mailOf(stage, ready)).messageId, `ready.${ready.id}@audio.example.com`);
  const end = (failed.endedAt ?? 0).toString(36);
  assert.equal((await mailOf(stage, failed)).messageId, `failed-${end}.${failed.id}@audio.example.com`);
});

test('a sender in a domain of another script can send, too', async (t) => {
  const stage = await notificationStage(t, { mailFrom: 'post@müller.example' });
  const ready = await storeReady(stage);
  assert.equal((await mailOf(stage, ready)).messageId, `ready.${ready.id}@xn--mller-kva.example`);
});

test('a file name full of HTML is text in the HTML', async (t) => {
  const stage = await notificationStage(t);
  const name = `<img src=x onerror="alert('1')">&amp;.mp4`;
  for (const mail of [
    await mailOf(stage, await storeReady(stage, { name })),
    await mailOf(stage, await storeFailed(stage, { name })),
  ]) {
    assert.ok(!mail.html.includes('<img'));
    assert.ok(
      mail.html.includes('&#60;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&#62;&#38;amp;.mp4'),
      mail.html,
    );
    assert.ok(mail.text.includes(name));
  }
});

test('a file name reaches no header, writes no line of its own, and turns no text around', async (t) => {
  const stage = await notificationStage(t);
  const name = 'a\r\nBcc: eve@example.com\r\n\r\nDownload:\nhttps://evil.example\u2028x\u202eexe.mp4';
  for (const mail of [
    await mailOf(stage, await storeReady(stage, { name })),
    await mailOf(stage, await storeFailed(stage, { name })),
  ]) {
    for (const header of [mail.subject, mail.to, mail.from, mail.messageId]) {
      assert.ok(!header.includes('evil') && !header.includes('Bcc'), header);
    }
    assert.doesNotMatch(mail.text, /^(Bcc:|https:\/\/evil)/m);
    assert.doesNotMatch(mail.text + mail.html, /[\r\u2028\u2029\u202e]/);
    assert.ok(mail.text.includes('a Bcc: eve@example.com Download: https://evil.example x exe.mp4'));
  }
});

test('an owner who would add headers or recipients gets no mail, and the message is a dead letter', async (t) => {
  const stage = await notificationStage(t);
  const owners = [
    'ann@example.com\r\nBcc: eve@example.com',
    'ann@example.com, eve@example.com',
    'ann',
    '<a@b.c>',
  ];
  for (const owner of owners) await announce(stage, await storeReady(stage, { owner }));
  await settled(stage);
  assert.deepEqual(stage.outbox.sent, []);
  const dead = await stage.broker.deadLetters('mp3', 10);
  assert.equal(dead.length, owners.length);
  for (const { reason, body } of dead) {
    assert.match(reason, /^mail\.malformed: /);
    assert.equal((await found(stage, body?.video_fid as never)).mail, 'refused');
  }
});

test('sizes and durations are written as people read them', () => {
  const sizes = [0, 999, 1_000, 999_949, 999_950, 1_500_000, 2e9, 5e15];
  assert.deepEqual(sizes.map(formatBytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '999.9 kB',
    '1.0 MB',
    '1.5 MB',
    '2.0 GB',
    '5000.0 TB',
  ]);
  const durations = [1, 59_499, 60_000, 599_500, 3_599_600, 3_723_000, 360_000_000];
  assert.deepEqual(durations.map(formatDuration), [
    '0:01',
    '0:59',
    '1:00',
    '10:00',
    '1:00:00',
    '1:02:03',
    '100:00:00',
  ]);
});
