import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { SmtpMailer } from '../../../src/adapters/smtp/mailer.ts';
import { eventually } from '../../support/eventually.ts';
import {
  announce,
  found,
  neighbour,
  notificationStage,
  settled,
  storeFailed,
  storeReady,
  type NotificationStage,
} from '../../support/notification-stage.ts';
import { startSmtpProcess, type SmtpProcess } from '../../support/servers/smtp-process.ts';
import { REFUSED_DOMAIN } from '../../support/servers/smtp.ts';

let server: SmtpProcess;

before(async () => {
  server = await startSmtpProcess();
});

after(() => server.stop());

/** Sends over SMTP from now on. */
async function overSmtp(t: TestContext, stage: NotificationStage): Promise<NotificationStage> {
  const mailer = await SmtpMailer.open(server.url, { log: stage.log });
  t.after(() => mailer.close());
  stage.mailer.intercept('send', (mail, options) => mailer.send(mail, options));
  return stage;
}

test('a mail server that is killed and comes back: every owner has his mail, and no two but with one id', async (t) => {
  const first = await overSmtp(t, await notificationStage(t));
  const second = await overSmtp(t, await neighbour(t, first));
  const conversions = [];
  for (let i = 0; i < 40; i += 1) {
    const owner = `owner${String(i)}@example.com`;
    conversions.push(await (i % 2 === 0 ? storeReady(first, { owner }) : storeFailed(first, { owner })));
  }
  for (const conversion of conversions) await announce(first, conversion);
  await eventually('some mails have arrived', async () => (await server.mails()).length >= 5);
  await server.kill();
  await eventually('that is noticed', () =>
    [first, second].some(({ log }) => log.entries.some(({ message }) => message === 'mail not sent')),
  );
  await server.restart();
  await settled(first);
  const mails = await server.mails();
  assert.deepEqual(
    [...new Set(mails.map(({ to }) => to))].sort(),
    conversions.map(({ owner }) => owner).sort(),
  );
  assert.equal(new Set(mails.map(({ messageId }) => messageId)).size, conversions.length);
  // At most those that were under way when it was killed.
  assert.ok(mails.length <= conversions.length + 8, `${String(mails.length)} mails`);
  for (const { id } of conversions) assert.equal((await found(first, id)).mail, 'sent');
});

test('an address that the server refuses for good is recorded, and leaves no dead letter', async (t) => {
  const stage = await overSmtp(t, await notificationStage(t));
  const failed = await storeFailed(stage, { owner: `nobody@${REFUSED_DOMAIN}` });
  await announce(stage, failed);
  await settled(stage);
  assert.equal((await found(stage, failed.id)).mail, 'refused');
  assert.deepEqual(await stage.broker.deadLetters('audiowave.failed', 10), []);
  const [refusal] = stage.log.entries.filter(({ message }) => message === 'mail refused for good');
  assert.equal(refusal?.fields.reason, 'RCPT TO: 550 5.1.1 No such user here');
});
