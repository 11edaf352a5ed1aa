import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryMailer } from '../../src/adapters/memory/mailer.ts';
import { OutboxMailer } from '../../src/adapters/outbox/mailer.ts';
import { SmtpMailer } from '../../src/adapters/smtp/mailer.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import type { Mail } from '../../src/domain/mail.ts';
import { parseMail } from '../support/parse-mail.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startSmtp } from '../support/servers/smtp.ts';
import { tempFolder } from '../support/temp.ts';
import { mailerContract } from './mailer.contract.ts';

/** The .eml files of a folder as an independent parser reads them. */
async function readMessages(folder: string): Promise<Mail[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.eml'));
  return Promise.all(names.map(async (name) => parseMail(await readFile(join(folder, name)))));
}

mailerContract(
  'outbox',
  async (t) => {
    const parent = await tempFolder(t);
    const folder = join(parent, 'outbox');
    const away = join(parent, 'away');
    return {
      mailer: await OutboxMailer.open(folder),
      received: () => readMessages(folder),
      failForNow: () => rename(folder, away),
      recover: () => rename(away, folder),
    };
  },
  { neverRefuses: 'a folder has no opinion on a mail' },
);

mailerContract('memory', () => {
  const mailer = new MemoryMailer();
  const failWith = (error: AudiowaveError | undefined): Promise<void> => {
    mailer.failWith(error);
    return Promise.resolve();
  };
  return Promise.resolve({
    mailer,
    received: () => Promise.resolve(mailer.sent),
    failForNow: () => failWith(new AudiowaveError('mail.unavailable')),
    recover: () => failWith(undefined),
    refuse: () => failWith(new AudiowaveError('mail.refused')),
  });
});

for (const tls of ['starttls', 'implicit', 'none'] as const) {
  mailerContract(`smtp (${tls})`, async (t) => {
    const server = await startSmtp({ tls });
    t.after(() => server.stop());
    return {
      mailer: await SmtpMailer.open(server.url, { log: recordedLog() }),
      received: () => server.mails(),
      failForNow: () => server.kill(),
      recover: () => server.restart(),
      refuse: () => {
        server.at('rcpt', { refuse: '550 5.1.1 No such user' });
        return Promise.resolve();
      },
    };
  });
}
