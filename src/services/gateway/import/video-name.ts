import { parse } from 'content-disposition';
import { cleanFileName } from '../upload/file-name.ts';
import { field, type AnswerHeaders } from './check-answer.ts';

/**
 * The name of a fetched video: of `Content-Disposition` (`filename*` before `filename`, RFC 6266, 4.3), else the last
 * segment of the URL's path; null where there is none.
 */
export function videoName(url: URL, headers: AnswerHeaders): string | null {
  return nameOfHeader(field(headers, 'content-disposition')) ?? nameOfPath(url);
}

function nameOfHeader(header: string): string | null {
  if (header === '') return null;
  return cleanFileName(parse(asText(header)).parameters.filename);
}

/** Field values come as one character a byte. Many servers send UTF-8 there; what is none is Latin-1. */
function asText(value: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'));
  } catch {
    return value;
  }
}

function nameOfPath(url: URL): string | null {
  const segment = url.pathname.split('/').at(-1) ?? '';
  try {
    return cleanFileName(decodeURIComponent(segment));
  } catch {
    return cleanFileName(segment);
  }
}
