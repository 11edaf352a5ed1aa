import {
  beginsLikeEbml,
  CLUSTER,
  elementsIn,
  MOST_HEADER_BYTES,
  readElement,
  readUnsigned,
  SEGMENT,
} from './ebml.ts';
import { highestRate, type SoundTrack } from './matroska-window.ts';
import type { ByteReader } from './source-file.ts';

const MIB = 1024 * 1024;
const WINDOWS = 10;
const WINDOW_BYTES = MIB;
/** Slow disks: what was seen until then must do. */
const MOST_MS = 500;

/**
 * Estimates the bit rate, in whole kbit/s, of the first sound track of a Matroska or WebM file, which need not say it:
 * the highest of some seconds in windows spread over the file, so that a quiet beginning lowers nothing. Reads a small file
 * whole, of a large one 10 to 40 MiB. Undefined where less than 2 s of sound were seen, where the file is no EBML or is odd,
 * and once `signal` is aborted. Throws only what reading throws.
 */
export async function estimateSoundKbps(file: ByteReader, signal: AbortSignal): Promise<number | undefined> {
  const head = await readHead(file);
  if (head === undefined) return undefined;
  const { track, firstCluster, end } = head;
  const deadline = performance.now() + MOST_MS;
  const span = end - firstCluster;
  const small = span <= WINDOWS * WINDOW_BYTES;
  const extent = small
    ? { step: span, mostBytes: span, mostStretches: Infinity }
    : { step: Math.floor(span / WINDOWS), mostBytes: WINDOW_BYTES, mostStretches: 1 };
  let highest = 0;
  for (let at = firstCluster; at + MOST_HEADER_BYTES < end; at += extent.step) {
    if (signal.aborted || performance.now() > deadline) break;
    highest = Math.max(highest, await highestRate(file, track, { at, end, ...extent }));
  }
  if (signal.aborted) return undefined;
  return highest > 0 ? Math.max(1, Math.round(highest / 1000)) : undefined;
}

interface Head {
  readonly track: SoundTrack;
  readonly firstCluster: number;
  /** Where the Segment ends, or the file. */
  readonly end: number;
}

/** Before the first Cluster there are some ten elements; a file that has more than this was made to keep us busy. */
const MOST_ELEMENTS_BEFORE_CLUSTER = 100;
const MOST_INFO_BYTES = 64 * 1024;
const MOST_TRACKS_BYTES = MIB;
const INFO = 0x1549a966;
const TRACKS = 0x1654ae6b;

/** Walks over what is before the first Cluster, where Info and Tracks are (RFC 9559, 6). */
async function readHead(file: ByteReader): Promise<Head | undefined> {
  const segment = await findSegment(file);
  if (segment === undefined) return undefined;
  const { end } = segment;
  let secondsPerTick = 0.001;
  let trackNumber: number | undefined;
  let position = segment.dataAt;
  for (let count = 0; count < MOST_ELEMENTS_BEFORE_CLUSTER; count++) {
    const element = await readHeader(file, position);
    if (element?.id === CLUSTER && trackNumber !== undefined && secondsPerTick > 0) {
      return { track: { number: trackNumber, secondsPerTick }, firstCluster: position, end };
    }
    if (element?.size === undefined || element.id === CLUSTER || element.dataAt + element.size > end)
      return undefined;
    const { id, dataAt, size } = element;
    if (id === INFO) secondsPerTick = readScale(await file.readAt(dataAt, Math.min(size, MOST_INFO_BYTES)));
    if (id === TRACKS)
      trackNumber = firstSoundTrack(await file.readAt(dataAt, Math.min(size, MOST_TRACKS_BYTES)));
    position = dataAt + size;
  }
  return undefined;
}

async function findSegment(file: ByteReader): Promise<{ dataAt: number; end: number } | undefined> {
  const bytes = await file.readAt(0, MOST_HEADER_BYTES);
  const header = beginsLikeEbml(bytes) ? readElement(bytes, 0) : undefined;
  if (header?.size === undefined || header.dataAt + header.size > file.sizeBytes) return undefined;
  const segment = await readHeader(file, header.dataAt + header.size);
  if (segment?.id !== SEGMENT) return undefined;
  const end = Math.min(file.sizeBytes, segment.dataAt + (segment.size ?? Infinity));
  return { dataAt: segment.dataAt, end };
}

/** The element that begins there, its places counted from where the file begins. */
async function readHeader(file: ByteReader, position: number): Promise<ReturnType<typeof readElement>> {
  if (position >= file.sizeBytes) return undefined;
  const element = readElement(await file.readAt(position, MOST_HEADER_BYTES), 0);
  return element && { ...element, dataAt: position + element.dataAt };
}

const TIMESTAMP_SCALE = 0x2ad7b1;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_TYPE = 0x83;
const TYPE_AUDIO = 2;

/** TimestampScale: the nanoseconds of one tick, 1,000,000 where nothing says otherwise (RFC 9559, 5.1.2.9). */
function readScale(info: Buffer): number {
  for (const { id, dataAt, size } of elementsIn(info, 0, info.length)) {
    if (id === TIMESTAMP_SCALE) return (readUnsigned(info, dataAt, size) ?? 0) / 1e9;
  }
  return 0.001;
}

/** TrackNumber of the first TrackEntry whose TrackType is audio (RFC 9559, 5.1.4.1): the one that is encoded. */
function firstSoundTrack(tracks: Buffer): number | undefined {
  for (const entry of elementsIn(tracks, 0, tracks.length)) {
    if (entry.id !== TRACK_ENTRY) continue;
    const found = new Map<number, number | undefined>();
    for (const { id, dataAt, size } of elementsIn(tracks, entry.dataAt, entry.dataAt + entry.size)) {
      if (id === TRACK_NUMBER || id === TRACK_TYPE) found.set(id, readUnsigned(tracks, dataAt, size));
    }
    if (found.get(TRACK_TYPE) === TYPE_AUDIO) return found.get(TRACK_NUMBER);
  }
  return undefined;
}
