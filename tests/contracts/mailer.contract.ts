import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import type { Mail } from '../../src/domain/mail.ts';
import type { Mailer, Outbox } from '../../src/ports/mailer.ts';
import { eventually } from '../support/eventually.ts';

/** One mailer, and the other end of it. */
export interface OpenedMailer {
  readonly mailer: Mailer & Partial<Outbox>;
  /** The mails that arrived, as a mail program shows them. */
  readonly received: () => Promise<readonly Mail[]>;
  /** Makes the place where mails go unable to take one for now. */
  readonly failForNow: () => Promise<void>;
  /** Ends failForNow(). */
  readonly recover: () => Promise<void>;
  /** Makes it refuse every mail for good. */
  readonly refuse?: () => Promise<void>;
}

/** Why an adapter is let off a promise. */
export interface MailerExcuses {
  /** It can't happen that a mail is refused for good. */
  readonly neverRefuses?: string;
}

const MAIL: Mail = {
  messageId: 'ready.0123456789abcdef01234567@example.org',
  from: 'audiowave@example.org',
  to: 'ann@example.com',
  subject: 'MP3 Download',
  text: 'Your MP3 file is ready!\nFile ID: 0123456789abcdef01234567\n',
  html: '<p>Your MP3 file is ready!</p>\n',
};

type Clause = (title: string, body: (opened: OpenedMailer, t: TestContext) => Promise<void>) => void;

function failsWith(code: ErrorCode, retryable: boolean): (error: unknown) => boolean {
  return (error) => {
    assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
    assert.equal(error.retryable, retryable);
    return true;
  };
}

/** What a mail program may add at the end of a part. */
function trimmed(mail: Mail): Mail {
  return { ...mail, text: mail.text.trimEnd(), html: mail.html.trimEnd() };
}

async function assertArrives(opened: OpenedMailer, mail: Mail): Promise<void> {
  await opened.mailer.send(mail);
  const arrived = (await opened.received()).find((other) => other.messageId === mail.messageId);
  assert.ok(arrived, `the mail ${mail.messageId} arrived`);
  assert.deepEqual(trimmed(arrived), trimmed(mail));
}

/** One test per promise of `src/ports/mailer.ts`. */
export function mailerContract(
  name: string,
  open: (t: TestContext) => Promise<OpenedMailer>,
  excuses: MailerExcuses = {},
): void {
  const promise: Clause = (title, body) => {
    test(`${name}: ${title}`, { timeout: 30_000 }, async (t) => {
      const opened = await open(t);
      t.after(() => opened.mailer.close());
      await body(opened, t);
    });
  };
  arriving(promise);
  refusing(promise);
  failing(promise, excuses);
  reading(promise);
}

function arriving(promise: Clause): void {
  promise('a mail arrives as it was', async (opened) => {
    await assertArrives(opened, MAIL);
  });

  promise('subject, text, HTML and addresses arrive in any script', async (opened) => {
    const subjects = [
      'Ihre Umwandlung ist fertig: „Größe“',
      '変換が完了しました — 音楽.mp4',
      'Ваш файл готов',
      'ملفك جاهز',
      '🎵 ready',
      'é'.repeat(300),
      '=?utf-8?Q?not_an_encoded_word?=',
    ];
    for (const [i, subject] of subjects.entries()) {
      await assertArrives(opened, {
        ...MAIL,
        messageId: `script.${String(i)}@example.org`,
        to: i % 2 === 0 ? 'ann+tag=x@example.com' : 'жанна@example.com',
        subject,
        text: `${subject}\n\n  eingerückt\n.\nFrom a line that begins with From\n${'long '.repeat(500)}`,
        html: `<p title="ü">${subject} &amp; ${'x'.repeat(2_000)}</p>`,
      });
    }
  });

  promise('the same mail sent twice is one mail, or two with the same id', async (opened) => {
    await opened.mailer.send(MAIL);
    await opened.mailer.send(MAIL);
    const mails = await opened.received();
    assert.ok(mails.length >= 1);
    for (const mail of mails) assert.equal(mail.messageId, MAIL.messageId);
  });

  promise('many mails at the same time all arrive', async (opened) => {
    const mails = Array.from({ length: 30 }, (_, i) => ({ ...MAIL, messageId: `m${String(i)}@example.org` }));
    await Promise.all(mails.map((mail) => opened.mailer.send(mail)));
    const arrived = (await opened.received()).map((mail) => mail.messageId).sort();
    assert.deepEqual(arrived, mails.map((mail) => mail.messageId).sort());
  });
}

function refusing(promise: Clause): void {
  const injections: [string, Partial<Mail>][] = [];
  for (const [what, text] of [
    ['CR LF', '\r\nBcc: eve@example.net'],
    ['LF', '\nBcc: eve@example.net'],
    ['CR', '\rBcc: eve@example.net'],
    ['NUL', '\0'],
    ['DEL', '\x7f'],
    ['NEL', '\u0085'],
    ['LINE SEPARATOR', '\u2028Bcc: eve@example.net'],
  ] as const) {
    injections.push(
      [`${what} in the subject`, { subject: `Hello${text}` }],
      [`${what} in the recipient`, { to: `ann@example.com${text}` }],
      [`${what} in the sender`, { from: `audiowave@example.org${text}` }],
      [`${what} in the id`, { messageId: `a${text}@example.org` }],
    );
  }
  const addresses = [
    '',
    'ann',
    'ann@',
    '@example.com',
    'ann@example.com, eve@example.net',
    ' ann@example.com',
  ];
  addresses.push(
    'Ann <ann@example.com>',
    'a;b@example.com',
    `${'a'.repeat(250)}@example.com`,
    'ann@example.com ',
  );
  for (const address of addresses) {
    injections.push([`recipient "${address.slice(0, 40)}"`, { to: address }]);
    injections.push([`sender "${address.slice(0, 40)}"`, { from: address }]);
  }
  for (const messageId of ['', 'a b@example.org', '<a@example.org>', 'a@b> <c@d', 'ä@example.org']) {
    injections.push([`id "${messageId}"`, { messageId }]);
  }

  promise('header injection and malformed addresses are refused before anything is sent', async (opened) => {
    for (const [what, change] of injections) {
      const malformed = failsWith('mail.malformed', false);
      await assert.rejects(opened.mailer.send({ ...MAIL, ...change }), malformed, what);
    }
    assert.deepEqual(await opened.received(), []);
  });

  promise('line breaks and headers in the text stay in the text', async (opened) => {
    const text = 'Hello\r\n\r\nBcc: eve@example.net\n\n--boundary\nContent-Type: text/html\n\nx';
    await opened.mailer.send({ ...MAIL, text });
    const [arrived] = await opened.received();
    assert.equal(arrived?.text.replaceAll('\r\n', '\n').trimEnd(), text.replaceAll('\r\n', '\n'));
    assert.equal(arrived.to, MAIL.to);
  });
}

function failing(promise: Clause, excuses: MailerExcuses): void {
  promise('a place that takes no mail for now is mail.unavailable, and later takes it', async (opened) => {
    await opened.failForNow();
    await assert.rejects(opened.mailer.send(MAIL), failsWith('mail.unavailable', true));
    await assert.rejects(opened.mailer.check(), failsWith('mail.unavailable', true));
    await opened.recover();
    await opened.mailer.check();
    await assertArrives(opened, MAIL);
    assert.equal((await opened.received()).length, 1, 'nothing of the failed attempt arrived');
  });

  if (excuses.neverRefuses === undefined) {
    promise('a refusal for good is mail.refused', async (opened) => {
      await opened.refuse?.();
      await assert.rejects(opened.mailer.send(MAIL), failsWith('mail.refused', false));
      assert.deepEqual(await opened.received(), []);
    });
  }

  promise('nothing is sent once the signal has fired', async ({ mailer, received }) => {
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(mailer.send(MAIL, { signal }), /enough/);
    assert.deepEqual(await received(), []);
  });
}

function reading(promise: Clause): void {
  promise('describe() is one line for people, and check() passes', async ({ mailer }) => {
    assert.match(mailer.describe(), /^[^\p{Cc}]+$/u);
    await mailer.check();
  });

  promise('an outbox gives the newest mails to one address, in any letter case', async ({ mailer }) => {
    if (mailer.list === undefined) return;
    assert.deepEqual(await mailer.list('ann@example.com', 10), []);
    const before = Date.now();
    const order = [
      'ann@example.com',
      'bob@example.com',
      'Ann@Example.com',
      'anna@example.com',
      'ANN@example.com',
    ];
    for (const [i, to] of order.entries()) {
      const last = Date.now();
      await eventually('the next millisecond, since mails of one have no order', () => Date.now() > last);
      await mailer.send({ ...MAIL, messageId: `o${String(i)}@example.org`, to, subject: `№ ${String(i)}` });
    }
    const listed = await mailer.list('aNN@example.com', 10);
    assert.deepEqual(
      listed.map((mail) => [mail.subject, mail.to, mail.text]),
      [4, 2, 0].map((i) => [`№ ${String(i)}`, order[i], MAIL.text]),
    );
    for (const mail of listed) {
      assert.ok(mail.sentAt >= before && mail.sentAt <= Date.now());
      assert.ok(mail.name.endsWith('.eml'));
    }
    const newest = await mailer.list('ann@example.com', 2);
    assert.deepEqual(newest, listed.slice(0, 2));
    assert.deepEqual(await mailer.list('nn@example.com', 10), []);
  });
}
