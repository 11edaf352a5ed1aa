import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { SmtpMailer, type SmtpMailerOptions } from '../../src/adapters/smtp/mailer.ts';
import { hasCode, type AudiowaveError, type ErrorCode } from '../../src/domain/errors.ts';
import type { Mail } from '../../src/domain/mail.ts';
import { eventually } from '../support/eventually.ts';
import { listen } from '../support/listen.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startSmtp, type SmtpOptions, type SmtpStep, type SmtpTestServer } from '../support/servers/smtp.ts';

const MAIL: Mail = {
  messageId: 'ready.0123456789abcdef01234567@example.org',
  from: 'audiowave@example.org',
  to: 'ann@example.com',
  subject: 'MP3 Download',
  text: 'Your MP3 file is ready!\n',
  html: '<p>Your MP3 file is ready!</p>\n',
};
const CREDENTIALS = { user: 'ann@example.com', password: 's3cret:/@%' };

interface Stage {
  readonly server: SmtpTestServer;
  readonly mailer: SmtpMailer;
  readonly log: ReturnType<typeof recordedLog>;
}

/** A server, and a mailer on its URL, which `change` may alter. */
async function stage(
  t: TestContext,
  options: SmtpOptions = {},
  change: (url: string) => string = (url) => url,
  mailerOptions: Partial<SmtpMailerOptions> = {},
): Promise<Stage> {
  const server = await startSmtp(options);
  t.after(() => server.stop());
  const log = recordedLog();
  const mailer = await SmtpMailer.open(change(server.url), { log, ...mailerOptions });
  t.after(() => mailer.close());
  return { server, mailer, log };
}

/** The error of `promise`, which must have this code. */
async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<AudiowaveError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
  return error;
}

const withoutAuthority = (url: string): string => url.replace(/\?.*/, '');

test('a certificate of nobody we trust is refused, with STARTTLS and with implicit TLS', async (t) => {
  for (const tls of ['starttls', 'implicit'] as const) {
    const { server, mailer } = await stage(t, { tls }, withoutAuthority);
    for (const attempt of [() => mailer.send(MAIL), () => mailer.check()]) {
      const { message } = await failure(attempt(), 'mail.unavailable');
      assert.match(message, /^No safe connection to the mail server 127\.0\.0\.1:\d+: .*certificate.*tls_ca/);
    }
    assert.deepEqual(await server.mails(), []);
  }
});

test('a certificate for another name is refused, though its authority is trusted', async (t) => {
  const { server, mailer } = await stage(t, { certificate: 'mail.example' });
  const { message } = await failure(mailer.send(MAIL), 'mail.unavailable');
  assert.match(message, /does not match certificate/);
  assert.deepEqual(await server.mails(), []);
});

test('tls=unchecked takes any certificate, and still encrypts', async (t) => {
  const change = (url: string): string => `${withoutAuthority(url)}?tls=unchecked`;
  const { server, mailer } = await stage(
    t,
    { certificate: 'video.example', credentials: CREDENTIALS },
    change,
  );
  await mailer.check();
  await mailer.send(MAIL);
  // The server takes a login over TLS only.
  assert.equal((await server.mails()).length, 1);
});

test('credentials log in, over STARTTLS and over implicit TLS', async (t) => {
  for (const tls of ['starttls', 'implicit'] as const) {
    const { server, mailer } = await stage(t, { tls, credentials: CREDENTIALS });
    await mailer.check();
    await mailer.send(MAIL);
    assert.equal((await server.mails()).length, 1);
  }
});

test('credentials never go in the clear, unless tls=off says so', async (t) => {
  const { server, mailer } = await stage(t, { tls: 'none', credentials: CREDENTIALS });
  server.at('auth', { refuse: '535 never' });
  for (const attempt of [() => mailer.send(MAIL), () => mailer.check()]) {
    const { message } = await failure(attempt(), 'mail.unavailable');
    assert.match(message, /^No safe connection .* STARTTLS/);
  }
  assert.equal(server.count('auth'), 0, 'nobody tried to log in');
  const clear = await stage(t, { tls: 'none', credentials: CREDENTIALS }, (url) => `${url}?tls=off`);
  await clear.mailer.check();
  await clear.mailer.send(MAIL);
  assert.equal((await clear.server.mails()).length, 1);
});

test('tls=on without credentials sends nothing unencrypted', async (t) => {
  const { server, mailer } = await stage(t, { tls: 'none' }, (url) => `${url}?tls=on`);
  await failure(mailer.send(MAIL), 'mail.unavailable');
  assert.deepEqual(await server.mails(), []);
});

test('credentials that the server does not ask for are not passed over in silence', async (t) => {
  const login = (url: string): string => url.replace('://', '://ann:s3cret@');
  const { server, mailer } = await stage(t, {}, login);
  await failure(mailer.send(MAIL), 'mail.unavailable');
  await failure(mailer.check(), 'mail.unavailable');
  assert.deepEqual(await server.mails(), []);
});

test('wrong credentials: one clear line without the password, and no new try for a while', async (t) => {
  const wrong = (url: string): string => url.replace('s3cret', 'other-s3cret');
  const { server, mailer, log } = await stage(t, { credentials: CREDENTIALS }, wrong);
  for (const attempt of [
    () => mailer.check(),
    () => mailer.send(MAIL),
    () => mailer.send(MAIL),
    () => mailer.check(),
  ]) {
    const { message, detail } = await failure(attempt(), 'mail.unavailable');
    assert.match(message, /does not accept the user name or the password: 535 5\.7\.8 /);
    assert.ok(!`${message}${String(detail)}`.includes('s3cret'));
  }
  assert.equal(server.count('auth'), 1);
  assert.deepEqual(
    log.entries.map(({ level, message }) => [level, message]),
    [['warn', 'mail server can not be used; trying again']],
  );
  assert.ok(!JSON.stringify(log.entries).includes('s3cret'));
});

test('after that while they are tried again, and the log says that all is well', async (t) => {
  const { server, mailer, log } = await stage(t, { credentials: CREDENTIALS }, undefined, {
    loginPauseMs: 100,
  });
  server.at('auth', { refuse: '535 5.7.8 not yet' });
  await failure(mailer.send(MAIL), 'mail.unavailable');
  server.at('auth', undefined);
  await eventually('the mail goes out', () => mailer.send(MAIL).then(() => true));
  assert.deepEqual(
    log.entries.map(({ level }) => level),
    ['warn', 'info'],
  );
});

test('what the server says tells whether a mail may pass later', async (t) => {
  const { server, mailer, log } = await stage(t);
  const cases: [SmtpStep, string, ErrorCode][] = [
    ['rcpt', '550 5.1.1 No such user', 'mail.refused'],
    ['rcpt', '553 5.1.3 Bad address', 'mail.refused'],
    ['rcpt', '450 4.2.0 Greylisted', 'mail.unavailable'],
    ['rcpt', '530 5.7.0 Authentication required', 'mail.unavailable'],
    ['rcpt', '550 5.4.5 Daily user sending limit exceeded', 'mail.unavailable'],
    ['rcpt', '553 5.1.8 Sender address rejected', 'mail.unavailable'],
    ['data', '554 5.7.1 Spam', 'mail.refused'],
    ['data', '552 5.2.2 Mailbox full', 'mail.refused'],
    ['data', '451 4.3.0 Try later', 'mail.unavailable'],
    ['mail', '550 5.7.1 Sender not allowed', 'mail.unavailable'],
    ['mail', '451 4.3.0 Try later', 'mail.unavailable'],
    ['connect', '554 5.7.1 Go away', 'mail.unavailable'],
    ['connect', '421 4.3.2 Too busy', 'mail.unavailable'],
  ];
  for (const [step, answer, code] of cases) {
    // A greeting comes on a new connection only.
    if (step === 'connect') await server.restart();
    server.at(step, { refuse: answer });
    const { message, detail, retryAfterSeconds } = await failure(mailer.send(MAIL), code);
    const isOfMail = code === 'mail.unavailable' && (step === 'rcpt' || step === 'data');
    assert.equal(retryAfterSeconds, isOfMail ? 60 : undefined);
    assert.ok(`${message} ${detail ?? ''}`.includes(answer), `${step} ${answer}: ${message} ${detail ?? ''}`);
    server.at(step, undefined);
  }
  assert.deepEqual(await server.mails(), []);
  await mailer.send(MAIL);
  assert.equal((await server.mails()).length, 1);
  assert.ok(log.entries.length <= 3, 'an opinion on a mail is no trouble with the server');
});

test('a connection that breaks in the middle of a mail: unavailable, and the next try goes out', async (t) => {
  const { server, mailer } = await stage(t);
  for (const step of ['mail', 'rcpt', 'data'] as const) {
    server.at(step, { drop: true });
    await failure(mailer.send(MAIL), 'mail.unavailable');
    server.at(step, undefined);
    assert.deepEqual(await server.mails(), []);
  }
  await mailer.send(MAIL);
  assert.equal((await server.mails()).length, 1);
});

test('a connection that breaks before the confirmation: unavailable, and the repeat has the same id', async (t) => {
  const { server, mailer } = await stage(t);
  server.at('answer', { drop: true });
  await failure(mailer.send(MAIL), 'mail.unavailable');
  server.at('answer', undefined);
  await mailer.send(MAIL);
  assert.deepEqual(
    (await server.mails()).map(({ messageId }) => messageId),
    [MAIL.messageId, MAIL.messageId],
  );
});

test('a slow server ends at the deadline, and the connection with it', async (t) => {
  const { server, mailer } = await stage(t, {}, undefined, { sendDeadlineMs: 300 });
  const release = Promise.withResolvers<undefined>();
  server.at('data', { wait: release.promise });
  const { message } = await failure(mailer.send(MAIL), 'mail.unavailable');
  assert.match(message, /does not answer in time/);
  await eventually('the connection is gone', () => server.connections === 0);
  release.resolve(undefined);
});

test('an abort ends the send at once, with its reason, and the connection with it', async (t) => {
  const { server, mailer } = await stage(t);
  const release = Promise.withResolvers<undefined>();
  server.at('rcpt', { wait: release.promise });
  const stop = new AbortController();
  const sending = mailer.send(MAIL, { signal: stop.signal });
  await eventually('it waits for an answer', () => server.count('rcpt') === 1);
  stop.abort(new Error('enough'));
  await assert.rejects(sending, /enough/);
  await eventually('the connection is gone', () => server.connections === 0);
  release.resolve(undefined);
  server.at('rcpt', undefined);
  await mailer.send(MAIL);
  assert.equal((await server.mails()).length, 1);
});

test('a server that never greets does not hold a check for ever', { timeout: 20_000 }, async (t) => {
  const sockets: Socket[] = [];
  const port = await listen(
    t,
    createServer((socket) => sockets.push(socket)),
  );
  const mailer = await SmtpMailer.open(`smtp://127.0.0.1:${String(port)}`, {
    log: recordedLog(),
    checkDeadlineMs: 500,
  });
  t.after(() => mailer.close());
  const { message } = await failure(mailer.check(), 'mail.unavailable');
  assert.match(message, /does not answer in time/);
  await eventually('its connection is gone', () =>
    sockets.every((socket) => socket.destroyed || socket.readableEnded),
  );
});

test('idle connections that a restart has cut do not cost the next mails', async (t) => {
  const { server, mailer } = await stage(t);
  const send = (from: number): Promise<unknown> =>
    Promise.all(
      [0, 1, 2, 3, 4, 5].map((i) => mailer.send({ ...MAIL, messageId: `m${String(from + i)}@example.org` })),
    );
  await send(0);
  assert.ok(server.connections > 1 && server.connections <= 4);
  await server.restart();
  await send(10);
  assert.equal((await server.mails()).length, 12);
});

test('a check does not connect again soon after all was well, and does after a failure', async (t) => {
  const { server, mailer } = await stage(t);
  await Promise.all([mailer.check(), mailer.check()]);
  await mailer.check();
  assert.equal(server.sessions, 1);
  await server.kill();
  await failure(mailer.send(MAIL), 'mail.unavailable');
  await failure(mailer.check(), 'mail.unavailable');
  await server.restart();
  await mailer.check();
  assert.equal(server.sessions, 2);
});

test('open() does not need the server, and describe() shows no secret', async (t) => {
  const mailer = await SmtpMailer.open('smtp://ann:s3cret@[::1]:1', { log: recordedLog() });
  t.after(() => mailer.close());
  assert.equal(mailer.describe(), 'smtp server [::1]:1');
  const { message } = await failure(mailer.send(MAIL), 'mail.unavailable');
  assert.match(message, /^The mail server \[::1\]:1 can not be used: connect /);
  await assert.rejects(SmtpMailer.open('smtp://', { log: recordedLog() }), /malformed/);
});

test('close() lets go at once, whatever runs, and is harmless twice', async (t) => {
  const { server, mailer } = await stage(t);
  const release = Promise.withResolvers<undefined>();
  server.at('data', { wait: release.promise });
  const sending = failure(mailer.send(MAIL), 'mail.unavailable');
  await eventually('the mail is under way', () => server.count('data') === 1);
  await mailer.close();
  await mailer.close();
  await sending;
  await failure(mailer.send(MAIL), 'mail.unavailable');
  await failure(mailer.check(), 'mail.unavailable');
  await eventually('the connection is gone', () => server.connections === 0);
  release.resolve(undefined);
});
