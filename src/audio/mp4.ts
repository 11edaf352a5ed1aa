import type { ByteReader } from './source-file.ts';

/** What the boxes of an MP4 or MOV file say (ISO/IEC 14496-12). */
export interface Mp4Facts {
  readonly truncated: boolean | undefined;
  readonly indexMissing: boolean;
  readonly soundSeconds: number | undefined;
}

interface Box {
  readonly type: string;
  readonly body: number;
  /** Where the box ends as it says itself, perhaps beyond the file. */
  readonly end: number;
}

const FIRST_BOXES = new Set('ftyp styp moov moof mdat free skip wide pnot sidx uuid prfl emsg'.split(' '));
/** A fragmented file has two boxes for each second or so; more than this many are not looked at. */
const MOST_BOXES = 20_000;
/** An edit list of sound that was cut has a few entries; a longer one is read no further. */
const MOST_EDITS = 1000;

/** True where a file begins with a box that stands at the top of an MP4. */
export function beginsLikeMp4(head: Buffer): boolean {
  return FIRST_BOXES.has(head.toString('latin1', 4, 8));
}

/** Walks the boxes of the top level: their sizes tell where the file should end. */
export async function inspectMp4(file: ByteReader): Promise<Mp4Facts> {
  let position = 0;
  let index: Box | undefined;
  for (let count = 0; count < MOST_BOXES; count++) {
    const box = await readBox(file, position, file.sizeBytes);
    // Some programs put bytes of their own behind the last box: those are no box, and nothing is missing.
    if (box === undefined) return describe(file, index, false);
    const cutOff = box.end > file.sizeBytes;
    if (box.type === 'moov' && !cutOff) index = box;
    if (cutOff) return describe(file, index, true);
    position = box.end;
  }
  return describe(file, index, undefined);
}

async function describe(
  file: ByteReader,
  index: Box | undefined,
  truncated: boolean | undefined,
): Promise<Mp4Facts> {
  const soundSeconds = index === undefined ? undefined : await readSoundLength(file, index);
  return { truncated, indexMissing: index === undefined, soundSeconds };
}

/** The box at `position` (4.2), or undefined where none can be. */
async function readBox(file: ByteReader, position: number, end: number): Promise<Box | undefined> {
  if (position + 8 > end) return undefined;
  const header = await file.readAt(position, 16);
  const type = header.toString('latin1', 4, 8);
  if (header.length < 8 || !/^[\x20-\x7e\xa9]{4}$/.test(type)) return undefined;
  const size = header.readUInt32BE(0);
  if (size === 0) return { type, body: position + 8, end };
  if (size !== 1) return size >= 8 ? { type, body: position + 8, end: position + size } : undefined;
  const large = header.length < 16 ? 0 : Number(header.readBigUInt64BE(8));
  return large >= 16 ? { type, body: position + 16, end: position + large } : undefined;
}

async function children(file: ByteReader, parent: Box): Promise<Box[]> {
  const found: Box[] = [];
  let box = await readBox(file, parent.body, parent.end);
  while (box !== undefined && found.length < MOST_BOXES) {
    found.push(box);
    box = await readBox(file, box.end, parent.end);
  }
  return found;
}

async function child(file: ByteReader, parent: Box, type: string): Promise<Box | undefined> {
  return (await children(file, parent)).find((box) => box.type === type);
}

/** The edit list of the first sound track, in seconds (8.6.6). In a fragmented file it says nothing of the length. */
async function readSoundLength(file: ByteReader, index: Box): Promise<number | undefined> {
  const boxes = await children(file, index);
  const movie = boxes.find(({ type }) => type === 'mvhd');
  if (movie === undefined || boxes.some(({ type }) => type === 'mvex')) return undefined;
  for (const track of boxes.filter(({ type }) => type === 'trak')) {
    const parts = await children(file, track);
    if (
      !(await isSound(
        file,
        parts.find(({ type }) => type === 'mdia'),
      ))
    )
      continue;
    const edits = parts.find(({ type }) => type === 'edts');
    const list = edits === undefined ? undefined : await child(file, edits, 'elst');
    return list === undefined ? undefined : sumEdits(file, list, await readTimescale(file, movie));
  }
  return undefined;
}

async function isSound(file: ByteReader, mediaBox: Box | undefined): Promise<boolean> {
  const handler = mediaBox === undefined ? undefined : await child(file, mediaBox, 'hdlr');
  if (handler === undefined) return false;
  return (await file.readAt(handler.body + 8, 4)).toString('latin1') === 'soun';
}

/** Version 1 has two times of 64 bits before it (8.2.2). */
async function readTimescale(file: ByteReader, movie: Box): Promise<number> {
  const body = await file.readAt(movie.body, 24);
  if (body.length < 24) return 0;
  return body.readUInt32BE(body[0] === 1 ? 20 : 12);
}

async function sumEdits(file: ByteReader, list: Box, timescale: number): Promise<number | undefined> {
  const body = await file.readAt(list.body, Math.min(list.end - list.body, 8 + 20 * MOST_EDITS));
  if (body.length < 8 || timescale === 0) return undefined;
  const long = body[0] === 1;
  const entryBytes = long ? 20 : 12;
  const count = body.readUInt32BE(4);
  if (count === 0 || 8 + count * entryBytes > body.length) return undefined;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = 8 + i * entryBytes;
    const duration = long ? Number(body.readBigUInt64BE(at)) : body.readUInt32BE(at);
    const start = long ? Number(body.readBigInt64BE(at + 8)) : body.readInt32BE(at + 4);
    // A start of -1 is a pause before the sound, and FFmpeg gives none of it.
    if (start !== -1) sum += duration;
  }
  return sum > 0 ? sum / timescale : undefined;
}
