import { AudiowaveError } from './errors.ts';
import { parseEmail } from './user.ts';

/** One mail, without transport. */
export interface Mail {
  /** Without angle brackets; the same conversion has the same one, so that a repeat can be told. */
  readonly messageId: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

// A line break or another control character in a header would let its writer add headers and recipients of his own
// (CWE-93); U+2028 and U+2029 are line breaks to some programs.
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
// Visible ASCII without angle brackets, short enough to stay on one header line (RFC 5322, 2.1.1 and 3.6.4).
const MESSAGE_ID = /^[!-;=?-~]{1,250}$/;

function malformed(message: string): AudiowaveError {
  return new AudiowaveError('mail.malformed', message);
}

function checkAddress(address: string, role: string): void {
  // parseEmail() trims; what is sent is the address as it stands.
  if (address !== address.trim()) throw malformed(`The ${role} of the mail is not an e-mail address.`);
  try {
    parseEmail(address);
  } catch {
    throw malformed(`The ${role} of the mail is not an e-mail address.`);
  }
}

/** Throws `mail.malformed` unless both addresses, the subject and the id can stand in a header. Every mailer calls it before it sends. */
export function checkMail(mail: Mail): void {
  checkAddress(mail.from, 'sender');
  checkAddress(mail.to, 'recipient');
  if (CONTROL.test(mail.subject)) throw malformed('The subject of the mail has a control character.');
  if (!MESSAGE_ID.test(mail.messageId))
    throw malformed('The id of the mail has a character that no id may have.');
}
