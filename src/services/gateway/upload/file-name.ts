/** The longest name that is kept, in bytes of UTF-8: what file systems take. */
const MAX_NAME_BYTES = 255;

// Control characters could break a header or a terminal; the directional ones turn "exe.mp4" into something else.
const UNWANTED = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * The name of a video as it is kept and shown: without folders, control characters and line breaks, at most 255 bytes
 * of UTF-8, its extension kept. Null where nothing is left.
 */
export function cleanFileName(given: string | null | undefined): string | null {
  // Browsers and curl write a quote in a form's file name as %22 (HTML, "multipart/form-data encoding algorithm").
  const unquoted = (given ?? '').replaceAll('%22', '"').toWellFormed().normalize('NFC');
  const base = unquoted.slice(Math.max(unquoted.lastIndexOf('/'), unquoted.lastIndexOf('\\')) + 1);
  const clean = base.replace(UNWANTED, '').trim();
  return /^\.*$/.test(clean) ? null : shorten(clean);
}

function shorten(name: string): string {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name;
  const extension = /\.[\p{L}\p{N}]{1,16}$/u.exec(name)?.[0] ?? '';
  const room = MAX_NAME_BYTES - Buffer.byteLength(extension);
  const head = Buffer.from(name.slice(0, name.length - extension.length)).subarray(0, room);
  // A decoder that awaits more holds back a character that was cut in two.
  return new TextDecoder().decode(head, { stream: true }).trimEnd() + extension;
}

/** The name of the MP3 made from a video of this name; `<fallback>.mp3` where none is known. */
export function mp3NameOf(videoName: string | null, fallback: string): string {
  const stem = (videoName ?? '').replace(/\.[\p{L}\p{N}]{1,16}$/u, '').trim();
  return `${stem === '' ? fallback : stem}.mp3`;
}
