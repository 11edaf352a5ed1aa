import type { AudiowaveError } from '../../domain/errors.ts';
import { checkMail, type Mail } from '../../domain/mail.ts';
import { emailKey } from '../../domain/user.ts';
import type { Mailer, Outbox, OutboxMail } from '../../ports/mailer.ts';

interface SentMail {
  readonly mail: Mail;
  readonly sentAt: number;
}

/** Keeps the mails that were sent, for tests, and fails when told to. */
export class MemoryMailer implements Mailer, Outbox {
  readonly #sent = new Map<string, SentMail>();
  #failure: AudiowaveError | undefined;

  /** Every mail that was sent, oldest first; a repeated Message-ID once. */
  get sent(): readonly Mail[] {
    return [...this.#sent.values()].map(({ mail }) => mail);
  }

  /** From now on send() and check() fail with `error`; undefined: no more. */
  failWith(error: AudiowaveError | undefined): void {
    this.#failure = error;
  }

  async send(mail: Mail, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    checkMail(mail);
    await this.check();
    if (!this.#sent.has(mail.messageId)) this.#sent.set(mail.messageId, { mail, sentAt: Date.now() });
  }

  list(to: string, limit: number): Promise<readonly OutboxMail[]> {
    const own = [...this.#sent.values()].filter(({ mail }) => emailKey(mail.to) === emailKey(to));
    const newest = own.reverse().slice(0, limit);
    return Promise.resolve(newest.map(asOutboxMail));
  }

  describe(): string {
    return 'memory of this process';
  }

  check(): Promise<void> {
    return this.#failure === undefined ? Promise.resolve() : Promise.reject(this.#failure);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function asOutboxMail({ mail, sentAt }: SentMail): OutboxMail {
  const { messageId, to, subject, text } = mail;
  return { name: `${messageId}.eml`, to, subject, text, sentAt };
}
