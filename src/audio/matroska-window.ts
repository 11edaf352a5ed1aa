import { CLUSTER, EBML_HEADER, readElement, readUnsigned, readVint, SEGMENT } from './ebml.ts';
import { RateMeter } from './rate-meter.ts';
import type { ByteReader } from './source-file.ts';

/** The track whose blocks are counted. */
export interface SoundTrack {
  readonly number: number;
  readonly secondsPerTick: number;
}

/** A part of a file to look at. */
export interface Window {
  readonly at: number;
  /** No byte from there on is looked at. */
  readonly end: number;
  /** How far behind `at` a Cluster may begin. */
  readonly step: number;
  /** How many bytes may be read, once a Cluster has been found. */
  readonly mostBytes: number;
  /** How many stretches of 4 s are enough. */
  readonly mostStretches: number;
}

/** The highest bit rate, in bit/s, of some seconds of the track in that window; 0 where less than 2 s of it were seen. */
export async function highestRate(file: ByteReader, track: SoundTrack, window: Window): Promise<number> {
  const cluster = await findCluster(file, window);
  if (cluster === undefined) return 0;
  const meter = new RateMeter();
  await walk(new Pieces(file, window), cluster, track, meter, window.mostStretches);
  return meter.highest();
}

const SCAN_BYTES = 256 * 1024;
/** FFmpeg ends a Cluster after 5 MB or 5 s. Where a window has none within this, the others must do. */
const MOST_SCANNED = 4 * 1024 * 1024;
/** A Cluster's header, its CRC-32, its Timestamp and the ID of what follows. */
const CLUSTER_BEGINNING_BYTES = 32;
const CLUSTER_ID = Buffer.from('1f43b675', 'hex');

async function findCluster(file: ByteReader, { at, end, step }: Window): Promise<number | undefined> {
  const last = Math.min(end, at + Math.min(step, MOST_SCANNED));
  for (let position = at; position < last; position += SCAN_BYTES) {
    const bytes = await file.readAt(position, SCAN_BYTES + CLUSTER_BEGINNING_BYTES);
    let found = bytes.indexOf(CLUSTER_ID);
    while (found !== -1) {
      if (beginsCluster(bytes, found)) return position + found;
      found = bytes.indexOf(CLUSTER_ID, found + 1);
    }
  }
  return undefined;
}

const CRC_32 = 0xbf;
const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
/** What may follow a Timestamp: blocks, SilentTracks, Position, PrevSize, Void. */
const AFTER_TIMESTAMP = /^(a3|a0|5854|a7|ab|ec)/;

/** Four bytes of a picture may look like a Cluster; they are not followed by a Timestamp, its first child (RFC 9559, 5.1.3.1). */
function beginsCluster(bytes: Buffer, at: number): boolean {
  const cluster = readElement(bytes, at);
  if (cluster === undefined) return false;
  const first = readElement(bytes, cluster.dataAt);
  const timestamp = first?.id === CRC_32 && first.size === 4 ? readElement(bytes, first.dataAt + 4) : first;
  if (timestamp?.id !== TIMESTAMP || readUnsigned(bytes, timestamp.dataAt, timestamp.size) === undefined)
    return false;
  const next = timestamp.dataAt + (timestamp.size ?? 0);
  return AFTER_TIMESTAMP.test(bytes.toString('hex', next, next + 2));
}

/** More than an hour of blocks. */
const MOST_ELEMENTS = 200_000;

/**
 * Goes from element to element, into Clusters and BlockGroups, over everything else. Where a Cluster ends doesn't matter:
 * the next one begins there, which is also how one of unknown size ends (RFC 8794, 6.2).
 */
async function walk(
  pieces: Pieces,
  from: number,
  track: SoundTrack,
  meter: RateMeter,
  mostStretches: number,
): Promise<void> {
  let position = from;
  let clusterTicks: number | undefined;
  for (let count = 0; count < MOST_ELEMENTS; count++) {
    if (meter.stretches >= mostStretches) return;
    if (!pieces.has(position) && !(await pieces.fetch(position))) return;
    const { bytes, start, end } = pieces;
    const element = readElement(bytes, position - start);
    if (element === undefined || element.id === SEGMENT || element.id === EBML_HEADER) return;
    const { id, dataAt, size } = element;
    position = start + dataAt;
    if (id === CLUSTER) clusterTicks = undefined;
    if (id === CLUSTER || (id === BLOCK_GROUP && size !== undefined)) continue;
    // What breaks off is not counted, and nothing but a Cluster has an unknown size.
    if (size === undefined || position + size > end) return;
    position += size;
    if (id === TIMESTAMP) clusterTicks = readUnsigned(bytes, dataAt, size);
    if ((id !== SIMPLE_BLOCK && id !== BLOCK) || clusterTicks === undefined) continue;
    const block = readBlock(bytes, dataAt, size);
    if (block === undefined) return;
    if (block.track === track.number) {
      meter.add((clusterTicks + block.ticks) * track.secondsPerTick, block.payloadBytes);
    }
  }
}

const LACING = 0x06;

/**
 * A block's header: track, ticks since the Cluster's Timestamp (signed), flags, and with lacing the number of its frames
 * (RFC 9559, 10.1 to 10.3). The sizes of the frames in a lace, about a byte each, count as payload.
 */
function readBlock(
  bytes: Buffer,
  at: number,
  size: number,
): { track: number; ticks: number; payloadBytes: number } | undefined {
  const track = readVint(bytes, at);
  if (track?.value === undefined || track.end + 3 > bytes.length) return undefined;
  const laced = ((bytes[track.end + 2] ?? 0) & LACING) !== 0;
  const payloadBytes = size - (track.end - at) - 3 - (laced ? 1 : 0);
  if (payloadBytes < 0) return undefined;
  return { track: track.value, ticks: bytes.readInt16BE(track.end), payloadBytes };
}

const JUMP_BYTES = 32 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Behind a big picture only the next header is of interest. */
const PIECE_AFTER_JUMP_BYTES = 4 * 1024;
/** Headers of an element and of a block. */
const HEADERS_BYTES = 24;

/** The pieces of a window that are read, one at a time. */
class Pieces {
  readonly end: number;
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  readonly #file: ByteReader;
  #bytesLeft: number;

  constructor(file: ByteReader, { end, mostBytes }: Window) {
    this.#file = file;
    this.end = end;
    this.#bytesLeft = mostBytes;
  }

  /** True where headers that begin at `position` are in the present piece. */
  has(position: number): boolean {
    return position >= this.start && position + HEADERS_BYTES <= this.start + this.bytes.length;
  }

  /** Reads the piece that begins at `position`; false where nothing is left to read. */
  async fetch(position: number): Promise<boolean> {
    const jumped = position - (this.start + this.bytes.length) > JUMP_BYTES;
    const length = Math.min(jumped ? PIECE_AFTER_JUMP_BYTES : PIECE_BYTES, this.end - position);
    if (length < 2 || this.#bytesLeft <= 0) return false;
    this.bytes = await this.#file.readAt(position, length);
    this.start = position;
    this.#bytesLeft -= length;
    return this.bytes.length >= 2;
  }
}
