import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mail } from '../../../src/domain/mail.ts';
import { parseMail } from '../parse-mail.ts';
import { freePort, ServerProcess, type TestServer } from './server-process.ts';
import { MAIL_AUTHORITY } from './smtp.ts';

const PROGRAM = fileURLToPath(new URL('smtp-main.ts', import.meta.url));

/** A mail server of its own process, whose mails survive a SIGKILL. */
export interface SmtpProcess extends TestServer {
  /** Holds one .eml file for each confirmed mail, named by its time of receipt. */
  readonly folder: string;
  readonly pid: number | undefined;
  /** The mails that lie in the folder, oldest first. */
  mails(): Promise<readonly ReceivedMail[]>;
}

export interface ReceivedMail extends Mail {
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
}

/**
 * Starts a mail server as a process. It offers STARTTLS with a certificate that the `tls_ca` of its URL checks, wants no
 * login, refuses addresses of `REFUSED_DOMAIN` for good, and confirms a mail when it lies on the disk.
 */
export async function startSmtpProcess(): Promise<SmtpProcess> {
  const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'audiowave-smtp-'))];
  const identity = randomUUID();
  const server = new ServerProcess({
    name: 'SMTP server',
    program: process.execPath,
    args: [PROGRAM, String(port), folder, identity],
    answers: () => greeting(port, identity),
  });
  await server.start();
  return {
    url: `smtp://127.0.0.1:${String(port)}?tls_ca=${encodeURIComponent(MAIL_AUTHORITY)}`,
    folder,
    get pid() {
      return server.pid;
    },
    kill: () => server.kill(),
    restart: async () => {
      await server.kill();
      await server.start();
    },
    stop: async () => {
      await server.terminate();
      await rm(folder, { recursive: true, force: true });
    },
    mails: () => readMails(folder),
  };
}

async function readMails(folder: string): Promise<ReceivedMail[]> {
  const mails: ReceivedMail[] = [];
  for (const name of (await readdir(folder)).filter((entry) => entry.endsWith('.eml')).sort()) {
    const mail = await parseMail(await readFile(join(folder, name)));
    mails.push({ ...mail, receivedAt: Number(name.split('-', 1)[0]) });
  }
  return mails;
}

/** Resolves where the greeting of the server on `port` names `identity`. */
async function greeting(port: number, identity: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    const [line] = (await once(socket, 'data', { signal: AbortSignal.timeout(2_000) })) as [Buffer];
    if (!line.includes(identity)) throw new Error(`another server: ${line.toString('latin1')}`);
  } finally {
    socket.destroy();
  }
}
