import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, unlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AudiowaveError } from '../../domain/errors.ts';
import { checkMail, type Mail } from '../../domain/mail.ts';
import { emailKey } from '../../domain/user.ts';
import type { Mailer, Outbox, OutboxMail } from '../../ports/mailer.ts';
import { composeMessage } from './message.ts';
import {
  FOLDER_MODE,
  linkOrRead,
  placeFile,
  readOrUndefined,
  sweepTemporaries,
  syncFolder,
  TEMPORARY,
} from './safe-files.ts';

export interface OutboxOptions {
  /** Called once for each mail, when it lies in the outbox. */
  readonly onStored?: (mail: Mail, path: string) => void;
}

/** What the outbox keeps beside each message, so that it need not parse it: `.index/<hash of the Message-ID>.json`. */
interface IndexEntry extends OutboxMail {
  /** The Message-ID, without angle brackets. */
  readonly messageId: string;
}

const EML = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-([0-9a-f]{32})\.eml$/;

/** Keeps mails as .eml files in a folder, one file for each Message-ID, for people to open and for the page to show. */
export class OutboxMailer implements Mailer, Outbox {
  readonly #folder: string;
  readonly #onStored: (mail: Mail, path: string) => void;
  /** Whom a mail is to, by file name. Files never change, so that each is read once. */
  readonly #recipients = new Map<string, string>();

  private constructor(folder: string, options: OutboxOptions) {
    this.#folder = resolve(folder);
    this.#onStored = options.onStored ?? (() => undefined);
  }

  /** Opens the outbox in `folder`, which is made where there is none; `mail.unavailable` where it can't be. */
  static async open(folder: string, options: OutboxOptions = {}): Promise<OutboxMailer> {
    const mailer = new OutboxMailer(folder, options);
    await asMailWork(async () => {
      await mkdir(mailer.#index, { recursive: true, mode: FOLDER_MODE });
      await syncFolder(mailer.#folder);
      // No write takes an hour; a younger one may be another process's.
      const olderThan = Date.now() - 3_600_000;
      for (const place of [mailer.#folder, mailer.#index]) await sweepTemporaries(place, olderThan);
    });
    return mailer;
  }

  get #index(): string {
    return join(this.#folder, '.index');
  }

  async send(mail: Mail, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    checkMail(mail);
    const path = await asMailWork(() => this.#store(mail));
    if (path !== undefined) this.#onStored(mail, path);
  }

  /** The path of the new file; undefined where the mail lies there already. */
  async #store(mail: Mail): Promise<string | undefined> {
    const hash = createHash('sha256').update(mail.messageId).digest('hex').slice(0, 32);
    const now = new Date();
    const { messageId, to, subject, text } = mail;
    const name = `${now.toISOString().replace(/[:.]/g, '-')}-${hash}.eml`;
    const entry: IndexEntry = { name, messageId, to, subject, text, sentAt: now.getTime() };
    // The first to link the entry decides on the file's name; whoever repeats the mail writes that same file. So
    // there is never a second one, and never one without an entry, whenever a process dies.
    const first = parseEntry(await linkOrRead(this.#index, `${hash}.json`, JSON.stringify(entry))) ?? entry;
    const message = await composeMessage(mail, new Date(first.sentAt));
    return (await placeFile(this.#folder, first.name, message)) ? join(this.#folder, first.name) : undefined;
  }

  async list(to: string, limit: number): Promise<readonly OutboxMail[]> {
    const names = await asMailWork(() => readdir(this.#folder));
    const mails: OutboxMail[] = [];
    // The name begins with the time.
    for (const name of names.sort().reverse()) {
      if (mails.length >= limit) break;
      const mail = await asMailWork(() => this.#readFor(name, emailKey(to)));
      if (mail !== undefined) mails.push(mail);
    }
    return mails;
  }

  /** What lies under `name`, where it is a mail of ours to `key`. */
  async #readFor(name: string, key: string): Promise<OutboxMail | undefined> {
    const hash = EML.exec(name)?.[1];
    if (hash === undefined || (this.#recipients.get(name) ?? key) !== key) return undefined;
    const entry = parseEntry(await readOrUndefined(join(this.#index, `${hash}.json`)));
    if (entry?.name !== name) return undefined;
    this.#recipients.set(name, emailKey(entry.to));
    const { to, subject, text, sentAt } = entry;
    return emailKey(to) === key ? { name, to, subject, text, sentAt } : undefined;
  }

  describe(): string {
    return `outbox folder ${this.#folder}`;
  }

  async check(): Promise<void> {
    await asMailWork(async () => {
      const probe = join(this.#index, `.${randomUUID()}${TEMPORARY}`);
      await writeFile(probe, 'x', { flag: 'wx', mode: 0o600 });
      await unlink(probe);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Runs `work`; its system errors become `mail.unavailable`: a full or missing disk is a matter of time. */
async function asMailWork<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AudiowaveError) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    const message = 'The outbox folder can not be read or written.';
    throw new AudiowaveError('mail.unavailable', message, { cause: error, detail });
  }
}

/** An index entry, or undefined where the text is none: people may put files of their own into the folder. */
function parseEntry(json: string | undefined): IndexEntry | undefined {
  let value: Partial<Record<keyof IndexEntry, unknown>> | null;
  try {
    value = JSON.parse(json ?? 'null') as typeof value;
  } catch {
    return undefined;
  }
  const texts = [value?.name, value?.messageId, value?.to, value?.subject, value?.text];
  const sound = texts.every((text) => typeof text === 'string') && Number.isFinite(value?.sentAt);
  const entry = value as IndexEntry;
  return sound && EML.test(entry.name) ? entry : undefined;
}
