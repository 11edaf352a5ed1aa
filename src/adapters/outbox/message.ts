import MailComposer from 'nodemailer/lib/mail-composer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';
import type { Mail } from '../../domain/mail.ts';

/** The message as it travels (RFC 5322, MIME), lines ending with CRLF. `mail` has passed checkMail(). */
export function composeMessage(mail: Mail, date: Date): Promise<Buffer> {
  const composer = new MailComposer({
    // As objects, so that nobody looks for names, groups or several addresses in them.
    from: { name: '', address: mail.from },
    to: { name: '', address: mail.to },
    // nodemailer takes a text that looks encoded for encoded; this one shall arrive as it is.
    subject: mail.subject.includes('=?') ? encodeWord(mail.subject, 'B', 52) : mail.subject,
    messageId: `<${mail.messageId}>`,
    date,
    text: mail.text,
    html: mail.html,
    // RFC 3834, 5: other machines don't answer.
    headers: { 'Auto-Submitted': 'auto-generated' },
    newline: '\r\n',
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}
