import type { FrameHeader } from './mp3/frame-header.ts';
import { LAME_DELAY, MOST_PADDING } from './mp3/info-frame.ts';

/** A decoder drops these after LAME's delay (ISO/IEC 11172-3 decoders: 528 + 1). */
const DECODER_DELAY = 529;
/** One frame of the codecs in MP4 holds at most this many samples. */
const LONGEST_FILLING = 2048;

/**
 * The samples of the sound itself. A decoder that does not trim (FFmpeg 5.1; 8.1 does) also gives what the source's encoder
 * has filled its last frame with: where that can be said in the MP3's padding, it is.
 */
export function trueSamples(
  counted: number | undefined,
  room: number,
  { sampleRateHz }: FrameHeader,
  soundSeconds: number | undefined,
): number {
  if (counted === undefined) return Math.max(0, room - LAME_DELAY - DECODER_DELAY);
  const declared = Math.round((soundSeconds ?? Infinity) * sampleRateHz);
  const filling = counted - declared;
  const fits = filling > 0 && filling <= LONGEST_FILLING && room - LAME_DELAY - declared <= MOST_PADDING;
  return fits ? declared : counted;
}
