import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import PostalMime from 'postal-mime';
import { OutboxMailer } from '../../src/adapters/outbox/mailer.ts';
import type { Mail } from '../../src/domain/mail.ts';
import { tempFolder } from '../support/temp.ts';

const MAIL: Mail = {
  messageId: 'ready.0123456789abcdef01234567@example.org',
  from: 'audiowave@example.org',
  to: 'ann@example.com',
  subject: 'MP3 Download',
  text: 'Größe: 3 MB\n',
  html: '<p>Größe: 3 MB</p>\n',
};

async function messages(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.eml')).sort();
}

test('a Message-ID has one file, though it is sent many times at once by two processes', async (t) => {
  const folder = await tempFolder(t);
  const one = await OutboxMailer.open(folder);
  const other = await OutboxMailer.open(folder);
  await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? one : other).send(MAIL)));
  await one.send({ ...MAIL, text: 'the repeat of another attempt' });
  assert.equal((await messages(folder)).length, 1);
  assert.deepEqual(
    (await other.list(MAIL.to, 10)).map((mail) => mail.text),
    [MAIL.text],
  );
});

test('onStored is told of a mail once, with the path of its file', async (t) => {
  const folder = await tempFolder(t);
  const told: [string, string][] = [];
  const mailer = await OutboxMailer.open(folder, {
    onStored: (mail, path) => told.push([mail.messageId, path]),
  });
  await mailer.send(MAIL);
  await mailer.send(MAIL);
  const [name = ''] = await messages(folder);
  assert.deepEqual(told, [[MAIL.messageId, join(folder, name)]]);
  assert.equal(mailer.describe(), `outbox folder ${folder}`);
});

test('a message names itself, its time, and that a machine wrote it', async (t) => {
  const folder = await tempFolder(t);
  const mailer = await OutboxMailer.open(folder);
  const before = Math.floor(Date.now() / 1000) * 1000;
  await mailer.send(MAIL);
  const [name = ''] = await messages(folder);
  const message = await readFile(join(folder, name));
  const parsed = await PostalMime.parse(message);
  assert.equal(parsed.messageId, `<${MAIL.messageId}>`);
  assert.equal(parsed.headers.find((header) => header.key === 'auto-submitted')?.value, 'auto-generated');
  assert.ok(Date.parse(parsed.date ?? '') >= before);
  assert.equal(parsed.attachments.length, 0);
  assert.ok(!/[^\r]\n/.test(message.toString('latin1')), 'every line ends with CRLF');
});

test('only the account of the process reads the mails', async (t) => {
  const folder = join(await tempFolder(t), 'outbox');
  const mailer = await OutboxMailer.open(folder);
  await mailer.send(MAIL);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    assert.equal(mode & 0o077, 0, entry.name);
  }
});

test('files that people add, break or delete do not disturb the list', async (t) => {
  const folder = await tempFolder(t);
  const mailer = await OutboxMailer.open(folder);
  for (const id of ['one', 'two', 'three'])
    await mailer.send({ ...MAIL, messageId: `${id}@example.org`, subject: id });
  await writeFile(join(folder, 'hand-made.eml'), 'To: ann@example.com\r\n\r\nhello');
  await writeFile(join(folder, `2999-01-01T00-00-00-000Z-${'0'.repeat(32)}.eml`), 'no entry');
  await writeFile(join(folder, `2999-01-01T00-00-00-000Z-${'1'.repeat(32)}.eml`), 'a broken entry');
  await writeFile(join(folder, '.index', `${'1'.repeat(32)}.json`), '{"to":');
  await writeFile(join(folder, '.DS_Store'), '');
  const again = await OutboxMailer.open(folder);
  const listed = await again.list(MAIL.to, 10);
  assert.equal(listed.length, 3);

  await rm(join(folder, listed[1]?.name ?? ''));
  for (const reader of [mailer, again]) {
    const left = (await reader.list(MAIL.to, 10)).map((mail) => mail.subject);
    assert.deepEqual(left, [listed[0]?.subject, listed[2]?.subject]);
  }
});

test('what a process left that died while writing is removed an hour later', async (t) => {
  const folder = await tempFolder(t);
  await OutboxMailer.open(folder);
  const [old, young] = [join(folder, '.old.part'), join(folder, '.index', '.young.part')];
  for (const path of [old, young]) await writeFile(path, 'half');
  await utimes(old, new Date(), new Date(Date.now() - 2 * 3_600_000));
  await OutboxMailer.open(folder);
  assert.deepEqual(await readdir(folder), ['.index']);
  assert.deepEqual(await readdir(join(folder, '.index')), ['.young.part']);
});

test('a mail that was sent is there when the outbox is opened again', async (t) => {
  const folder = await tempFolder(t);
  await (await OutboxMailer.open(folder)).send(MAIL);
  const again = await OutboxMailer.open(folder);
  assert.equal((await again.list('ANN@example.com', 1))[0]?.subject, MAIL.subject);
  await again.send(MAIL);
  assert.equal((await messages(folder)).length, 1);
});
