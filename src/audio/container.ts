import { beginsLikeEbml, readVint, SEGMENT } from './ebml.ts';
import { beginsLikeMp4, inspectMp4 } from './mp4.ts';
import type { ByteReader } from './source-file.ts';

/** What a look at a file's own structure says, without decoding any of it. */
export interface ContainerFacts {
  readonly kind: 'mp4' | 'riff' | 'matroska' | 'flv' | 'unknown';
  /** True where the file declares more bytes than it has; undefined where its structure can't tell. */
  readonly truncated: boolean | undefined;
  /** An MP4 without `moov`: nothing in it can be found. */
  readonly indexMissing: boolean;
  /** Length of the first sound track as its edit list says it; undefined where there is none. */
  readonly soundSeconds: number | undefined;
}

/** As much of a file's beginning as is needed to tell what it is. */
export const HEAD_BYTES = 4096;

/** Looks at the structure of a container. Reads some kilobytes, whatever the file's size. */
export async function inspectContainer(file: ByteReader): Promise<ContainerFacts> {
  const head = await file.readAt(0, HEAD_BYTES);
  const mark = head.toString('latin1', 0, 4);
  if (/^(RIFF|RIFX)$/.test(mark)) return facts('riff', await riffIsCut(file));
  if (mark.startsWith('FLV')) return facts('flv', await flvIsCut(file));
  if (beginsLikeEbml(head)) return facts('matroska', matroskaIsCut(head, file));
  if (beginsLikeMp4(head)) {
    const { truncated, indexMissing, soundSeconds } = await inspectMp4(file);
    return { kind: 'mp4', truncated, indexMissing, soundSeconds };
  }
  return UNKNOWN_CONTAINER;
}

/** Of a file whose structure could not be looked at. */
export const UNKNOWN_CONTAINER: ContainerFacts = facts('unknown', undefined);

function facts(kind: ContainerFacts['kind'], truncated: boolean | undefined): ContainerFacts {
  return { kind, truncated, indexMissing: false, soundSeconds: undefined };
}

/** True where a file's first bytes are text: no control characters but white space, and UTF-8 but perhaps for a character cut off at the end. */
export function isText(head: Buffer): boolean {
  if (head.length === 0) return false;
  for (const byte of head) {
    if (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 12 && byte !== 27) return false;
  }
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** Writers that can't go back leave one of these instead of a size. */
const NO_RIFF_SIZE_FROM = 0x7fff0000;
/** Some writers count their own eight bytes, too, or a padding byte that is not there. */
const RIFF_TOLERANCE_BYTES = 16;

/** AVI files above 1 GB are several RIFF chunks one after the other (OpenDML 1.02, "AVIX"). */
async function riffIsCut(file: ByteReader): Promise<boolean | undefined> {
  let position = 0;
  for (let count = 0; count < 1000; count++) {
    const header = await file.readAt(position, 12);
    if (header.length < 12 || header.toString('latin1', 0, 4) !== 'RIFF')
      return count > 0 ? false : undefined;
    const size = header.readUInt32LE(4);
    if (size === 0 || size >= NO_RIFF_SIZE_FROM) return undefined;
    const end = position + 8 + size;
    if (end > file.sizeBytes + RIFF_TOLERANCE_BYTES) return true;
    position = end + (size % 2);
  }
  return undefined;
}

/** The Segment follows the EBML header and says its size, unless it was written without going back (RFC 8794, 6.2). */
function matroskaIsCut(head: Buffer, file: ByteReader): boolean | undefined {
  const header = readVint(head, 4);
  if (header?.value === undefined) return undefined;
  const at = header.end + header.value;
  if (at + 12 > head.length || head.readUInt32BE(at) !== SEGMENT) return undefined;
  const segment = readVint(head, at + 4);
  if (segment?.value === undefined) return undefined;
  return segment.end + segment.value > file.sizeBytes;
}

/** The last four bytes repeat the size of the last tag, which must then lie before them (FLV 10.1, Annex E.3). */
async function flvIsCut(file: ByteReader): Promise<boolean | undefined> {
  if (file.sizeBytes < 24) return true;
  const size = (await file.readAt(file.sizeBytes - 4, 4)).readUInt32BE(0);
  // Some writers leave a zero, or count the data without the tag's header.
  if (size === 0) return undefined;
  const at = file.sizeBytes - 4 - size;
  if (at < 9) return true;
  const tag = await file.readAt(at, 4);
  if (tag.readUIntBE(1, 3) + 11 === size) return false;
  return at < 20 ? true : (await file.readAt(at - 11, 4)).readUIntBE(1, 3) !== size;
}
