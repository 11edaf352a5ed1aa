import { AudiowaveError } from '../../domain/errors.ts';

/** What a failed send or check says of the mail server: nothing, that it is away, or that it is not set up for us. */
export type Trouble = 'none' | 'away' | 'login';

export interface SmtpFailure {
  readonly error: AudiowaveError;
  readonly trouble: Trouble;
}

/** The fields of an error of nodemailer that tell what happened. */
interface ClientError {
  readonly message: string;
  /** `EAUTH`, `ETLS`, `EENVELOPE`, `EMESSAGE`, `ETIMEDOUT`, … */
  readonly code?: unknown;
  /** After which command. */
  readonly command?: unknown;
  /** The server's answer. */
  readonly response?: unknown;
  readonly responseCode?: unknown;
}

// RFC 5321, 4.2.2 and RFC 4954, 6: the session is at fault, not the mail.
const SESSION_CODES = [502, 503, 530, 534, 535, 538];
// RFC 3463, 3.2 to 3.5: the sender's address, a system that takes no mail at all, and congestion, which is also how Gmail
// says that the day's mails are used up.
const NOT_OF_THIS_MAIL = /^\d{3}[ -]5\.(1\.[78]|3\.2|4\.5)\b/;
// Greylisting, a full mailbox: minutes at least (RFC 5321, 4.5.4.1).
const MAIL_RETRY_SECONDS = 60;
const MOST_DETAIL = 400;

/**
 * What a failure of nodemailer means. For good is only what the server says of the mail itself, a 5xx answer to its
 * recipient or its text (RFC 5321, 4.2.1); all else may pass, or is to be repaired by who runs this installation.
 * `server` names the server for people.
 */
export function explainSmtpError(thrown: unknown, server: string): SmtpFailure {
  const error: ClientError = thrown instanceof Error ? thrown : { message: String(thrown) };
  const code = Number(error.responseCode ?? 0);
  const answer = oneLine(typeof error.response === 'string' ? error.response : error.message);
  const command = typeof error.command === 'string' ? error.command : '';
  const detail = command === '' ? answer : `${command}: ${answer}`;
  if (isAboutMail(error)) {
    if (isForGood(error, code)) {
      return { error: new AudiowaveError('mail.refused', undefined, { detail }), trouble: 'none' };
    }
    const message = `The mail server ${server} does not take this mail now.`;
    const options = { detail, retryAfterSeconds: MAIL_RETRY_SECONDS };
    return { error: new AudiowaveError('mail.unavailable', message, options), trouble: 'none' };
  }
  if (error.code === 'EAUTH' || error.code === 'ENOAUTH') {
    const message = `The mail server ${server} does not accept the user name or the password: ${answer}`;
    // 4xx: it can't tell at the moment.
    return { error: unavailable(message), trouble: code >= 400 && code < 500 ? 'away' : 'login' };
  }
  return { error: unavailable(sentenceOf(error, server, answer)), trouble: 'away' };
}

function isAboutMail({ code, command }: ClientError): boolean {
  return code === 'EMESSAGE' || (code === 'EENVELOPE' && (command === 'RCPT TO' || command === 'DATA'));
}

function isForGood({ code, response }: ClientError, responseCode: number): boolean {
  // Larger than the server has said it takes (RFC 1870).
  if (code === 'EMESSAGE' && response === undefined) return true;
  if (NOT_OF_THIS_MAIL.test(String(response))) return false;
  return responseCode >= 500 && responseCode < 600 && !SESSION_CODES.includes(responseCode);
}

function sentenceOf(
  { code, command, message, responseCode }: ClientError,
  server: string,
  answer: string,
): string {
  if (
    code === 'ETLS' ||
    /certificate|\b(SSL|TLS)\b/.test(message) ||
    (command === 'EHLO' && responseCode !== 421)
  ) {
    const hint = message.includes('certificate') ? ' (tls_ca in its URL names an authority of your own)' : '';
    return `No safe connection to the mail server ${server}: ${oneLine(message)}${hint}`;
  }
  if (code === 'ETIMEDOUT') return `The mail server ${server} does not answer in time: ${answer}`;
  if (code === 'EENVELOPE') return `The mail server ${server} does not take mail from this sender: ${answer}`;
  return `The mail server ${server} can not be used: ${answer}`;
}

/** `mail.unavailable` with a sentence for people. */
export function unavailable(message: string): AudiowaveError {
  return new AudiowaveError('mail.unavailable', message);
}

/** A server may answer in several lines. */
function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, MOST_DETAIL);
}
