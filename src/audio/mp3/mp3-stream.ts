import { crc16 } from './crc16.ts';
import { frameLength, readFrameHeader, type FrameHeader } from './frame-header.ts';
import { FramePositions } from './frame-positions.ts';
import { id3Tag, type Mp3Tags } from './id3.ts';
import { InfoFrame } from './info-frame.ts';

/** The encoder wrote something else than whole MP3 frames. */
export class BrokenMp3 extends Error {}

const OPENING_BYTES = 16 * 1024;

/**
 * Watches the frames of an encoder pass by and makes the head that belongs before them: an ID3v2.4 tag, then the
 * Info or Xing frame with the LAME tag. The head is reserved when the first frame is known, and final at the end; both
 * have the same size. Bytes are looked at in place, and only the first ones are copied.
 */
export class Mp3Stream {
  readonly #variable: boolean;
  readonly #positions = new FramePositions();
  #tags: Uint8Array = new Uint8Array();
  #info: InfoFrame | undefined;
  #first: FrameHeader | undefined;
  #musicBytes = 0;
  #musicCrc = 0;
  /** The first bytes of the music, in which LAME leaves its name. */
  readonly #opening = Buffer.alloc(OPENING_BYTES);
  /** Where the next frame begins, counted from the first one. */
  #nextFrame = 0;
  /** Header bytes of a frame that begins at the end of a chunk. */
  #word = 0;
  #wordBytes = 0;

  constructor(options: { variable: boolean }) {
    this.#variable = options.variable;
  }

  get frames(): number {
    return this.#positions.frames;
  }

  /** Undefined until the first frame. */
  get first(): FrameHeader | undefined {
    return this.#first;
  }

  /** Bytes of the whole MP3 so far, its head included. */
  get totalBytes(): number {
    return this.#tags.length + (this.#info?.lengthBytes ?? 0) + this.#musicBytes;
  }

  /** Takes the next bytes of the encoder. Throws {@link BrokenMp3} where a frame does not begin where it should. */
  push(chunk: Uint8Array): void {
    const start = this.#musicBytes;
    const end = start + chunk.length;
    // A header that straddles two chunks is collected byte by byte.
    let at = this.#nextFrame + this.#wordBytes - start;
    while (at < chunk.length) {
      this.#word = ((this.#word << 8) | (chunk[at] ?? 0)) >>> 0;
      at += 1;
      this.#wordBytes += 1;
      if (this.#wordBytes < 4) continue;
      this.#beginFrame();
      at = this.#nextFrame - start;
    }
    if (start < this.#opening.length)
      this.#opening.set(chunk.subarray(0, this.#opening.length - start), start);
    this.#musicCrc = crc16(chunk, this.#musicCrc);
    this.#musicBytes = end;
  }

  /** The head to write before the first frame. To be called after the push() that brought the first frame. */
  reserveHead(tags: Mp3Tags): Buffer {
    if (this.#info === undefined) throw new BrokenMp3('The encoder wrote no frame.');
    this.#tags = id3Tag(tags);
    return Buffer.concat([this.#tags, this.#info.reserved()]);
  }

  /** The head that replaces the reserved one, when all frames have passed. */
  finalHead(samples: number | undefined): Buffer {
    if (this.#info === undefined) throw new BrokenMp3('The encoder wrote no frame.');
    if (this.#nextFrame !== this.#musicBytes) throw new BrokenMp3('The last frame is not whole.');
    const info = this.#info.final({
      frames: this.#positions.frames,
      musicBytes: this.#musicBytes,
      musicCrc: this.#musicCrc,
      encoder: encoderName(this.#opening),
      positions: this.#positions,
      samples,
    });
    return Buffer.concat([this.#tags, info]);
  }

  #beginFrame(): void {
    const length = frameLength(this.#word);
    if (length === 0) {
      throw new BrokenMp3(
        `No frame begins at byte ${String(this.#nextFrame)}, but ${this.#word.toString(16)}.`,
      );
    }
    if (this.#info === undefined) {
      this.#first = readFrameHeader(this.#word);
      this.#info = new InfoFrame(this.#word, { variable: this.#variable });
    }
    this.#positions.add(this.#nextFrame);
    this.#nextFrame += length;
    this.#word = 0;
    this.#wordBytes = 0;
  }
}

/** LAME writes its name and version into the unused bits of frames; without such evidence only "LAME" is sure. */
function encoderName(opening: Buffer): string {
  return /LAME\d\.\d{1,3}/.exec(opening.toString('latin1'))?.[0] ?? 'LAME';
}
