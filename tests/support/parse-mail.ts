import PostalMime from 'postal-mime';
import type { Mail } from '../../src/domain/mail.ts';

/** A message (RFC 5322) as an independent parser reads it. */
export async function parseMail(message: Uint8Array): Promise<Mail> {
  const parsed = await PostalMime.parse(message);
  return {
    messageId: (parsed.messageId ?? '').replace(/^<|>$/g, ''),
    from: parsed.from?.address ?? '',
    to: (parsed.to ?? []).map((recipient) => recipient.address ?? '').join(', '),
    subject: parsed.subject ?? '',
    text: parsed.text ?? '',
    html: parsed.html ?? '',
  };
}
