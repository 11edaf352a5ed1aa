import { crc16 } from './crc16.ts';
import { frameLength, readFrameHeader, type FrameHeader } from './frame-header.ts';
import { FramePositions } from './frame-positions.ts';
import { id3Tag, type Mp3Tags } from './id3.ts';
import { InfoFrame } from './info-frame.ts';

/** The encoder wrote something else than whole MP3 frames. */
export class BrokenMp3 extends Error {}

/**
 * Watches the frames of an encoder pass by and makes the head that belongs before them: an ID3v2.4 tag, then the
 * Info or Xing frame with the LAME tag. The head is reserved when the first frame is known, and final at the end; both
 * have the same size. Bytes are looked at in place and never copied.
 */
export class Mp3Stream {
  readonly #variable: boolean;
  readonly #positions = new FramePositions();
  #tags: Uint8Array = new Uint8Array();
  #info: InfoFrame | undefined;
  #first: FrameHeader | undefined;
  #musicBytes = 0;
  #musicCrc = 0;
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
      this.#beginFrame(chunk);
      at = this.#nextFrame - start;
    }
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
      positions: this.#positions,
      samples,
    });
    return Buffer.concat([this.#tags, info]);
  }

  #beginFrame(chunk: Uint8Array): void {
    const length = frameLength(this.#word);
    if (length === 0) {
      throw new BrokenMp3(
        `No frame begins at byte ${String(this.#nextFrame)}, but ${this.#word.toString(16)}.`,
      );
    }
    if (this.#info === undefined) {
      this.#first = readFrameHeader(this.#word);
      this.#info = new InfoFrame(this.#word, { variable: this.#variable, encoder: encoderName(chunk) });
    }
    this.#positions.add(this.#nextFrame);
    this.#nextFrame += length;
    this.#word = 0;
    this.#wordBytes = 0;
  }
}

/** LAME writes its name and version into the unused bits of frames; without such evidence only "LAME" is sure. */
function encoderName(chunk: Uint8Array): string {
  const text = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, 32 * 1024)).toString(
    'latin1',
  );
  return /LAME\d\.\d{1,3}/.exec(text)?.[0] ?? 'LAME';
}
