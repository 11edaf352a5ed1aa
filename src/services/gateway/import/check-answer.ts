import { AudiowaveError } from '../../../domain/errors.ts';

/** Header fields of an answer, names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/**
 * Checks that an answer is a whole video, as far as its head tells, and gives its length, or null where it comes in
 * chunks. `import.failed`, `import.too-large`.
 */
export function checkAnswer(status: number, headers: AnswerHeaders, maxBytes: number): number | null {
  // 206 would be a part of the video; nobody asked for one.
  if (status !== 200) throw failed(statusSentence(status), `status ${String(status)}`);
  const type = field(headers, 'content-type').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'text/html' || type === 'application/xhtml+xml') {
    throw failed(
      'The URL leads to a web page, not to a video file. Use the address of the file itself.',
      type,
    );
  }
  const encoding = field(headers, 'content-encoding').trim().toLowerCase();
  if (encoding !== '' && encoding !== 'identity') {
    throw failed(
      'The server behind the URL sends the video in a packed form that nobody asked for.',
      encoding,
    );
  }
  return readLength(headers, maxBytes);
}

/**
 * A body must say where it ends (RFC 9112, 6.3): one that ends with the connection looks whole where it was cut, and a
 * short video would pass for a whole one.
 */
function readLength(headers: AnswerHeaders, maxBytes: number): number | null {
  if (field(headers, 'transfer-encoding').trim().toLowerCase() === 'chunked') return null;
  const text = field(headers, 'content-length').trim();
  if (headers['transfer-encoding'] !== undefined || !/^\d{1,15}$/.test(text)) {
    throw failed('The server behind the URL does not say where the video ends.', `length ${text}`);
  }
  const length = Number(text);
  if (length > maxBytes) throw new AudiowaveError('import.too-large');
  return length;
}

/** The value of a field; of a repeated one all values, so that it equals nothing that is expected. */
export function field(headers: AnswerHeaders, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}

function statusSentence(status: number): string {
  const number = String(status);
  if (status === 401 || status === 403) {
    return `The server behind the URL asks for a login (${number}). Use a link that opens without one.`;
  }
  if (status === 404 || status === 410) return `There is nothing at this URL (${number}).`;
  if (status === 429 || status >= 500) {
    return `The server behind the URL is busy or broken (${number}). Please try again later.`;
  }
  return `The server behind the URL answered with status ${number} and not with a video.`;
}

function failed(message: string, detail: string): AudiowaveError {
  return new AudiowaveError('import.failed', message, { detail });
}
