/** What an MP3 says about itself; every value is plain text of one line. */
export interface Mp3Tags {
  readonly title?: string;
  readonly artist?: string;
  readonly albumArtist?: string;
  readonly album?: string;
  /** ISO 8601, from the year alone to the second. */
  readonly date?: string;
  readonly track?: string;
  readonly disc?: string;
  readonly genre?: string;
  readonly composer?: string;
  readonly copyright?: string;
}

/** Text frames of ID3v2.4.0 "Native Frames", 4.2. */
const FRAME_IDS = {
  title: 'TIT2',
  artist: 'TPE1',
  albumArtist: 'TPE2',
  album: 'TALB',
  date: 'TDRC',
  track: 'TRCK',
  disc: 'TPOS',
  genre: 'TCON',
  composer: 'TCOM',
  copyright: 'TCOP',
} as const satisfies Record<keyof Mp3Tags, string>;

const UTF_8 = 3;
const MOST_CHARACTERS = 1000;

/** An ID3v2.4 tag in UTF-8 (ID3v2.4.0 "Main Structure", 3 and 4); no bytes where there is nothing to say. */
export function id3Tag(tags: Mp3Tags): Buffer {
  const frames = Object.entries(FRAME_IDS).flatMap(([key, id]) => {
    const text = cleanText(tags[key as keyof Mp3Tags] ?? '');
    return text === '' ? [] : [textFrame(id, text)];
  });
  if (frames.length === 0) return Buffer.alloc(0);
  const body = Buffer.concat(frames);
  const header = Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, ...syncSafe(body.length)]);
  return Buffer.concat([header, body]);
}

function textFrame(id: string, text: string): Buffer {
  const value = Buffer.from(text, 'utf8');
  return Buffer.concat([
    Buffer.from(id, 'latin1'),
    Buffer.from([...syncSafe(value.length + 1), 0, 0, UTF_8]),
    value,
  ]);
}

/** Control characters would end the text or break lines in players; half a surrogate pair is no UTF-8. */
function cleanText(text: string): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
  // Where half a character is left at the cut, it goes, too.
  return line
    .slice(0, MOST_CHARACTERS)
    .toWellFormed()
    .replace(/\ufffd$/, '');
}

/** 28 bits in four bytes whose highest bit is 0 (ID3v2.4.0 "Main Structure", 6.2). */
function syncSafe(size: number): number[] {
  return [(size >>> 21) & 0x7f, (size >>> 14) & 0x7f, (size >>> 7) & 0x7f, size & 0x7f];
}
