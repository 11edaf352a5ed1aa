import { randomUUID } from 'node:crypto';
import { claimMail, releaseMail, settleMail, type Conversion, type Lease } from '../../domain/conversion.ts';
import { AudiowaveError, hasCode } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { Mail } from '../../domain/mail.ts';
import { tryWhileAway } from '../../flow/while-away.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Mailer } from '../../ports/mailer.ts';
import { composeFailureMail, composeReadyMail, type Sender } from './compose.ts';
import { MailLinks } from './link.ts';

export interface MailSenderDeps {
  readonly conversions: ConversionStore;
  readonly mailer: Mailer;
  readonly log: Logger;
}

export interface MailSenderOptions extends Sender {
  /** How long a one-click link works. */
  readonly linkTtlMs: number;
  /** How long the others leave a mail alone that a process has begun to send. */
  readonly leaseMs: number;
  /** From one try to note that a mail is out to the next, while the store is away. */
  readonly noteEveryMs: number;
}

/** What is left of the lease when a send is given up, so that its failure is noted before another process begins. */
const SHARE_FOR_SENDING = 0.9;

/**
 * Sends the mail that a record owes: of several processes, and of several deliveries to one, exactly one. It claims the
 * mail in the record, sends it, and settles it there. A process that dies in between leaves a lease that runs out, and
 * then the mail goes out again with the same Message-ID.
 */
export class MailSender {
  readonly #conversions: ConversionStore;
  readonly #mailer: Mailer;
  readonly #log: Logger;
  readonly #options: MailSenderOptions;
  readonly #links: MailLinks;
  /** Conversions whose mail is out, though the store could not note it yet. */
  readonly #sent = new Set<FileId>();

  constructor({ conversions, mailer, log }: MailSenderDeps, options: MailSenderOptions) {
    this.#conversions = conversions;
    this.#mailer = mailer;
    this.#log = log;
    this.#options = options;
    this.#links = new MailLinks(conversions, options);
  }

  /**
   * Resolves with undefined when nothing is owed any more: the mail went out, or the server has refused it for good, or
   * there is no MP3 to write about. Where another process is at it: until when it has the mail for itself. Throws where
   * the mail is still owed, and `mail.malformed` where it never can be sent.
   */
  async send(conversion: Conversion, signal: AbortSignal): Promise<Lease['until'] | undefined> {
    const { id } = conversion;
    if (this.#sent.has(id)) {
      await this.#noteSent(id, signal);
      return undefined;
    }
    const now = Date.now();
    const lease = { holder: randomUUID(), until: now + this.#options.leaseMs };
    try {
      const claimed = await this.#conversions.update(id, (current) => claimMail(current, lease, now));
      if (claimed === undefined) return await this.#leasedUntil(id, now);
      await this.#sendClaimed(claimed, lease, signal);
    } catch (error) {
      if (!this.#sent.has(id)) await this.#release(id, lease.holder);
      throw error;
    }
    return undefined;
  }

  /** Gives up: the record does not owe the mail any more. */
  async giveUp(id: FileId): Promise<void> {
    this.#links.forget(id);
    await this.#conversions.update(id, (current) => settleMail(current, 'refused'));
  }

  async #leasedUntil(id: FileId, now: number): Promise<number | undefined> {
    const current = await this.#conversions.find(id);
    // Released in this moment: at once.
    return current?.mail === 'due' ? (current.mailLease?.until ?? now) : undefined;
  }

  async #sendClaimed(conversion: Conversion, lease: Lease, signal: AbortSignal): Promise<void> {
    const { id, state } = conversion;
    const startedAt = Date.now();
    const mail = await this.#compose(conversion);
    if (mail === undefined) {
      await this.#conversions.update(id, (current) => settleMail(current, 'none'));
      this.#log.info({ conversionId: id, state }, 'no mail: the MP3 was removed before');
      return;
    }
    try {
      await this.#sendWithin(mail, lease, signal);
    } catch (error) {
      if (!hasCode(error, 'mail.refused', 'mail.malformed')) throw error;
      await this.giveUp(id);
      if (error.code === 'mail.malformed') throw error;
      this.#log.warn({ err: error, conversionId: id, reason: error.detail }, 'mail refused for good');
      return;
    }
    this.#sent.add(id);
    await this.#noteSent(id, signal);
    this.#log.info({ conversionId: id, state, durationMs: Date.now() - startedAt }, 'mail sent');
  }

  async #compose(conversion: Conversion): Promise<Mail | undefined> {
    if (conversion.state === 'failed') return composeFailureMail(conversion, this.#options);
    const link = await this.#links.linkOf(conversion);
    return link && composeReadyMail(conversion, link, this.#options);
  }

  /** Never longer than the lease: after it another process sends. */
  async #sendWithin(mail: Mail, lease: Lease, signal: AbortSignal): Promise<void> {
    const deadline = new AbortController();
    const end = lease.until - (1 - SHARE_FOR_SENDING) * this.#options.leaseMs;
    const timer = setTimeout(
      () => {
        deadline.abort(
          new AudiowaveError('mail.unavailable', 'The mail server did not confirm the mail in time.'),
        );
      },
      Math.max(0, end - Date.now()),
    );
    try {
      await this.#mailer.send(mail, { signal: AbortSignal.any([signal, deadline.signal]) });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The mail is out; a process that dies before this has resolved sends it once more. */
  async #noteSent(id: FileId, signal: AbortSignal): Promise<void> {
    let said = false;
    await tryWhileAway(() => this.#conversions.update(id, (current) => settleMail(current, 'sent')), {
      everyMs: this.#options.noteEveryMs,
      signal,
      onAway: (error) => {
        if (!said)
          this.#log.warn({ err: error, conversionId: id }, 'mail sent, and not noted yet; trying again');
        said = true;
      },
    });
    this.#sent.delete(id);
    this.#links.forget(id);
  }

  async #release(id: FileId, holder: string): Promise<void> {
    try {
      await this.#conversions.update(id, (current) => releaseMail(current, holder));
    } catch (error) {
      // The lease runs out by itself.
      this.#log.debug({ err: error, conversionId: id }, 'lease of the mail not released');
    }
  }
}
