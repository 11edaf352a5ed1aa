import type { Mail } from '../domain/mail.ts';

/**
 * Sends mail. Promises, each with a test in `tests/contracts/mailer.contract.ts`:
 * - send() resolves when somebody else is responsible for the mail;
 * - `mail.malformed`: an address, subject or id with a line break or other control character, refused before anything is sent;
 * - `mail.refused` is final, `mail.unavailable` is not: `retryable` tells; where it is this mail that has to wait,
 *   `retryAfterSeconds` says how long;
 * - text, HTML, subject and addresses arrive as they were, in any script.
 */
export interface Mailer {
  send(mail: Mail, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Where mails go, for people: `outbox folder /…`, `smtp server mail.example.com:587`. No secrets. */
  describe(): string;
  /** Resolves where mail can be taken; `mail.unavailable` otherwise. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** A mail as it lies in the outbox. */
export interface OutboxMail {
  /** Name of the .eml file. */
  readonly name: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/** Only where mails stay on this machine: reads the outbox, newest first. */
export interface Outbox {
  list(to: string, limit: number): Promise<readonly OutboxMail[]>;
}
