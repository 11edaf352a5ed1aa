import { domainToASCII } from 'node:url';
import type { Conversion } from '../../domain/conversion.ts';
import type { Mail } from '../../domain/mail.ts';
import type { Link } from './link.ts';
import { formatBytes, formatDate, formatDuration } from './format.ts';

export interface Sender {
  readonly mailFrom: string;
  readonly publicUrl: string;
}

/**
 * The mail of a ready MP3. Subject and the lines `mp3 file_id: … is now ready!`, `Your MP3 file is ready!` and
 * `File ID: …` are searched for by scripts of the family (drop-in contract, "Mail").
 */
export function composeReadyMail(conversion: Conversion, link: Link, sender: Sender): Mail {
  const fid = conversion.mp3Fid ?? '';
  const facts = factsOf(conversion);
  const until = `The link works without a login until ${formatDate(link.expiresAt)}.`;
  const cut = conversion.incomplete
    ? 'The video broke off; the MP3 holds the part of it that could be heard.'
    : undefined;
  const text = lines(
    `mp3 file_id: ${fid} is now ready!`,
    '',
    'Your MP3 file is ready!',
    `File ID: ${fid}`,
    '',
    ...facts.map(([label, value]) => `${label}: ${value}`),
    cut,
    '',
    'Download:',
    link.url,
    until,
  );
  const html = page(
    'Your MP3 file is ready!',
    table([...facts, ['File ID', fid]]),
    cut === undefined ? '' : paragraph(cut),
    `<p style="margin:24px 0"><a href="${escape(link.url)}" style="background:#0f766e;color:#fff;padding:12px 20px;border-radius:8px;text-decoration:none">Download the MP3</a></p>`,
    `<p style="color:#666;font-size:13px">${escape(until)}</p>`,
  );
  return { ...envelope(conversion, sender, 'ready'), subject: 'MP3 Download', text, html };
}

/** The mail of a failed conversion, with its reason. */
export function composeFailureMail(conversion: Conversion, sender: Sender): Mail {
  const name = nameOf(conversion) ?? conversion.id;
  const reason = conversion.failure?.message ?? 'The reason is not known.';
  const code = conversion.failure?.code ?? 'internal.error';
  const text = lines(
    `Your video could not be converted: ${name}`,
    '',
    reason,
    '',
    `Code: ${code}`,
    `Video ID: ${conversion.id}`,
    sender.publicUrl,
  );
  const html = page(
    'Your video could not be converted',
    paragraph(reason),
    table([
      ['Video', name],
      ['Code', code],
      ['Video ID', conversion.id],
    ]),
  );
  // One that an operator has started anew may fail again, and that is another mail.
  const kind = `failed-${(conversion.endedAt ?? 0).toString(36)}`;
  return { ...envelope(conversion, sender, kind), subject: 'MP3 conversion failed', text, html };
}

function envelope(
  conversion: Conversion,
  sender: Sender,
  kind: string,
): Pick<Mail, 'messageId' | 'from' | 'to'> {
  const domain = domainToASCII(sender.mailFrom.split('@')[1] ?? '') || 'audiowave.invalid';
  return { messageId: `${kind}.${conversion.id}@${domain}`, from: sender.mailFrom, to: conversion.owner };
}

// Line breaks would let a name write lines of its own, and direction marks (UAX #9) make one thing look like another.
const UNSAFE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

/** The name of the video on one line. */
function nameOf({ name }: Conversion): string | undefined {
  const safe = (name ?? '').replace(UNSAFE, ' ').trim();
  return safe === '' ? undefined : safe;
}

function factsOf(conversion: Conversion): [string, string][] {
  const facts: [string, string | undefined][] = [
    ['File', nameOf(conversion)],
    ['Size', conversion.mp3Bytes === null ? undefined : formatBytes(conversion.mp3Bytes)],
    ['Duration', conversion.durationMs === null ? undefined : formatDuration(conversion.durationMs)],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== undefined);
}

function lines(...all: (string | undefined)[]): string {
  return `${all.filter((line) => line !== undefined).join('\n')}\n`;
}

function page(title: string, ...parts: string[]): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title></head><body style="font-family:system-ui,sans-serif;line-height:1.5;color:#111;max-width:560px;margin:24px auto;padding:0 16px"><h1 style="font-size:20px">${escape(title)}</h1>${parts.join('')}</body></html>\n`;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([label, value]) =>
      `<tr><td style="padding:2px 16px 2px 0;color:#666">${escape(label)}</td><td style="overflow-wrap:anywhere">${escape(value)}</td></tr>`,
  );
  return `<table>${cells.join('')}</table>`;
}

function paragraph(text: string): string {
  return `<p>${escape(text)}</p>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${String(character.charCodeAt(0))};`);
}
