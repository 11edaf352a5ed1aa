import type { Mp3Tags } from './mp3/id3.ts';

const MP3_TAG_OF: Readonly<Record<string, keyof Mp3Tags>> = {
  title: 'title',
  artist: 'artist',
  album_artist: 'albumArtist',
  albumartist: 'albumArtist',
  album: 'album',
  date: 'date',
  year: 'date',
  track: 'track',
  disc: 'disc',
  genre: 'genre',
  composer: 'composer',
  copyright: 'copyright',
};

/** The tags of an MP3 from a source's own words, whatever their letter case; the first of two with one meaning wins. */
export function mp3Tags(found: Iterable<readonly [string, string]>): Mp3Tags {
  const tags: { -readonly [K in keyof Mp3Tags]: Mp3Tags[K] } = {};
  for (const [name, text] of found) {
    const key = MP3_TAG_OF[name.toLowerCase()];
    if (key === undefined || tags[key] !== undefined) continue;
    // ffmpeg's log cuts long values off, perhaps in the middle of a character.
    const value = key === 'date' ? isoDate(text) : text.replace(/\ufffd+$/, '').trim();
    if (value !== undefined && value !== '') tags[key] = value;
  }
  return tags;
}

/** ID3v2.4.0 "Main Structure", 4: `yyyy-MM-ddTHH:mm:ss`, or less of it from the right. */
function isoDate(text: string): string | undefined {
  const compact = /^(\d{4})(\d{2})(\d{2})$/.exec(text.trim());
  if (compact !== null) return compact.slice(1).join('-');
  return /^\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2})?)?)?)?)?/.exec(text.trim().replace(' ', 'T'))?.[0];
}
