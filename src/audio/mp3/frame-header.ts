import { MPEG_1_RATES, MPEG_2_RATES } from '../bit-rate.ts';

/** What the four header bytes of an MP3 frame say (ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3). */
export interface FrameHeader {
  readonly sampleRateHz: number;
  readonly channels: 1 | 2;
  readonly bitrateKbps: number;
  /** Sound that one frame holds, per channel: 1152 in MPEG-1, 576 in MPEG-2 and MPEG-2.5. */
  readonly samplesPerFrame: 1152 | 576;
  /** Bytes of side information after the header, where no CRC stands between. */
  readonly sideInfoBytes: number;
  /** Size of the frame, header included. */
  readonly lengthBytes: number;
}

/** By the bit rate index of a header; index 0 is free format. */
const MPEG_1_KBPS = [0, ...MPEG_1_RATES];
const MPEG_2_KBPS = [0, ...MPEG_2_RATES];
const MPEG_1_HZ = [44100, 48000, 32000];
const SYNC_WORD = 0x7ff;
const LAYER_3 = 1;
/** The version field (ID, with the bit before it): MPEG-2.5 is 0, reserved 1, MPEG-2 2, MPEG-1 3. */
const MPEG_1 = 3;
const RESERVED_VERSION = 1;

/**
 * Reads the header in the 32 bits of `word`, or undefined where they are none. Free format (bit rate index 0) counts as
 * none: no encoder of ours writes it.
 */
export function readFrameHeader(word: number): FrameHeader | undefined {
  const version = (word >>> 19) & 3;
  if (word >>> 21 !== SYNC_WORD || version === RESERVED_VERSION || ((word >>> 17) & 3) !== LAYER_3) {
    return undefined;
  }
  const isMpeg1 = version === MPEG_1;
  const bitrateKbps = (isMpeg1 ? MPEG_1_KBPS : MPEG_2_KBPS)[(word >>> 12) & 15];
  const baseHz = MPEG_1_HZ[(word >>> 10) & 3];
  if (!bitrateKbps || baseHz === undefined) return undefined;
  const sampleRateHz = baseHz / (isMpeg1 ? 1 : version === 2 ? 2 : 4);
  const channels = ((word >>> 6) & 3) === 3 ? 1 : 2;
  const samplesPerFrame = isMpeg1 ? 1152 : 576;
  const padding = (word >>> 9) & 1;
  return {
    sampleRateHz,
    channels,
    bitrateKbps,
    samplesPerFrame,
    sideInfoBytes: isMpeg1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17,
    lengthBytes: Math.floor((samplesPerFrame * bitrateKbps * 125) / sampleRateHz) + padding,
  };
}

/** The 13 header bits between the sync word's first byte and the channel mode decide the length: one look-up a frame. */
const lengths = new Uint16Array(1 << 13);
for (let bits = 0; bits < lengths.length; bits++) {
  lengths[bits] = readFrameHeader((0xffe00000 | (bits << 8)) >>> 0)?.lengthBytes ?? 0;
}

/** Size in bytes of the frame whose header is `word`, 0 where it is no header. Costs no allocation. */
export function frameLength(word: number): number {
  return word >>> 21 === SYNC_WORD ? (lengths[(word >>> 8) & 0x1fff] ?? 0) : 0;
}

/** `word` with another bit rate index and without CRC, padding and mode extension: the header of a frame made by us. */
export function withBitrateIndex(word: number, index: number): number {
  const kept = word & 0xffff0cc0;
  return (kept | 0x00010000 | (index << 12)) >>> 0;
}
