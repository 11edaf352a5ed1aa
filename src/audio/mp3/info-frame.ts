import { crc16 } from './crc16.ts';
import { readFrameHeader, withBitrateIndex, type FrameHeader } from './frame-header.ts';
import type { FramePositions } from './frame-positions.ts';

/** Samples that LAME puts before the sound (`ENCDELAY` of LAME): a decoder adds 529 of its own. */
export const LAME_DELAY = 576;

/** Frames, bytes, table of contents and quality, each with its flag ("Xing VBR header"). */
const XING_BYTES = 4 + 4 + 4 + 4 + 100 + 4;
const LAME_TAG_BYTES = 36;
/** Delay and padding have 12 bits each. */
export const MOST_PADDING = 0xfff;

/** What is known of a stream when its last frame has been written. */
export interface StreamFacts {
  readonly frames: number;
  /** Bytes of sound, the info frame not counted. */
  readonly musicBytes: number;
  readonly musicCrc: number;
  /** Name and version of the encoder, at most 9 ASCII characters. */
  readonly encoder: string;
  readonly positions: FramePositions;
  /** True samples per channel; undefined where the encoder did not say. */
  readonly samples: number | undefined;
}

/** The first frame of an MP3: silence to a decoder that doesn't know it, facts about the stream to one that does. */
export class InfoFrame {
  readonly lengthBytes: number;
  readonly #word: number;
  readonly #header: FrameHeader;
  readonly #variable: boolean;

  /**
   * `firstWord` is the header of the stream's first frame: the info frame has the same version, sample rate and channels.
   * A constant bit rate is kept where the tag fits into it.
   */
  constructor(firstWord: number, options: { variable: boolean }) {
    this.#variable = options.variable;
    const found = roomyHeader(firstWord, options.variable);
    this.#word = found.word;
    this.#header = found.header;
    this.lengthBytes = found.header.lengthBytes;
  }

  /** The frame while nothing is known yet but the delay; the same size as {@link final}. */
  reserved(): Buffer {
    const frame = this.#begin();
    const tag = this.#writeKind(frame, 0);
    this.#writeLameTag(frame, tag + 8, { encoder: 'LAME', padding: 0, total: 0, musicCrc: 0 });
    return frame;
  }

  /** The frame with everything in it. */
  final(facts: StreamFacts): Buffer {
    const frame = this.#begin();
    const total = this.lengthBytes + facts.musicBytes;
    const tag = this.#writeKind(frame, 0b1111);
    frame.writeUInt32BE(facts.frames, tag + 8);
    frame.writeUInt32BE(total, tag + 12);
    for (let percent = 0; percent < 100; percent++) {
      const position = facts.positions.positionOf((facts.frames * percent) / 100, facts.musicBytes);
      frame[tag + 16 + percent] = Math.min(255, Math.floor((256 * (this.lengthBytes + position)) / total));
    }
    // Quality, 0 (best) to 100: nobody reads it, and LAME's own meaning is its settings'.
    frame.writeUInt32BE(0, tag + 116);
    const surplus = facts.frames * this.#header.samplesPerFrame - LAME_DELAY - (facts.samples ?? Infinity);
    const padding = Math.min(MOST_PADDING, Math.max(0, surplus));
    this.#writeLameTag(frame, tag + XING_BYTES, { padding, total, ...facts });
    return frame;
  }

  #begin(): Buffer {
    const frame = Buffer.alloc(this.lengthBytes);
    frame.writeUInt32BE(this.#word, 0);
    return frame;
  }

  #writeKind(frame: Buffer, flags: number): number {
    const tag = 4 + this.#header.sideInfoBytes;
    frame.write(this.#variable ? 'Xing' : 'Info', tag, 'latin1');
    frame.writeUInt32BE(flags, tag + 4);
    return tag;
  }

  /** "Mp3 Info Tag rev 1 specifications"; the offsets below are those of the tag after the Xing part. */
  #writeLameTag(
    frame: Buffer,
    at: number,
    facts: { encoder: string; padding: number; total: number; musicCrc: number },
  ): void {
    frame.write(facts.encoder.slice(0, 9), at, 'latin1');
    // Revision 0 in the upper half; 1 is CBR, 4 LAME's default VBR ("mtrh").
    frame[at + 9] = this.#variable ? 4 : 1;
    frame[at + 20] = Math.min(255, this.#variable ? 0 : this.#header.bitrateKbps);
    frame.writeUIntBE(LAME_DELAY * 4096 + facts.padding, at + 21, 3);
    frame[at + 24] = this.#stereoMode() | this.#sourceRate();
    frame.writeUInt32BE(facts.total, at + 28);
    frame.writeUInt16BE(facts.musicCrc, at + 32);
    frame.writeUInt16BE(crc16(frame.subarray(0, at + 34)), at + 34);
  }

  /** Bits 2 to 4: 0 mono, 3 joint stereo. */
  #stereoMode(): number {
    return this.#header.channels === 1 ? 0 : 3 << 2;
  }

  /** Bits 6 and 7: up to 32 kHz, 44.1 kHz, 48 kHz. */
  #sourceRate(): number {
    const { sampleRateHz } = this.#header;
    return (sampleRateHz <= 32000 ? 0 : sampleRateHz === 44100 ? 1 : 2) << 6;
  }
}

function roomyHeader(firstWord: number, variable: boolean): { word: number; header: FrameHeader } {
  const lowest = variable ? 1 : (firstWord >>> 12) & 15;
  for (let index = lowest; index < 15; index++) {
    const word = withBitrateIndex(firstWord, index);
    const header = readFrameHeader(word);
    if (header === undefined) break;
    const needed = 4 + header.sideInfoBytes + XING_BYTES + LAME_TAG_BYTES;
    if (header.lengthBytes >= needed) return { word, header };
  }
  throw new Error('Not the header of an MP3 frame');
}
