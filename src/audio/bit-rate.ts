import type { AudioOptions } from '../domain/audio-options.ts';

/** What of a source decides how its MP3 is encoded. */
export interface SourceSound {
  /** FFmpeg's name of the codec: `aac`, `mp3`, `opus`, `pcm_s16le`, … */
  readonly codec: string;
  /** Bit rate in kbit/s; null where the source does not say. */
  readonly bitrateKbps: number | null;
  readonly lossless: boolean;
  readonly sampleRateHz: number;
  readonly channels: number;
}

/** What the encoder is told: a legal MP3 sample rate, one or two channels, a legal bit rate. */
export type EncodingChoice =
  | {
      readonly mode: 'cbr';
      readonly bitrateKbps: number;
      readonly sampleRateHz: number;
      readonly channels: 1 | 2;
    }
  | {
      readonly mode: 'vbr';
      readonly quality: number;
      readonly sampleRateHz: number;
      readonly channels: 1 | 2;
    };

/** Bit rates of MPEG-1 layer III in kbit/s (ISO/IEC 11172-3, 2.4.2.3). */
export const MPEG_1_RATES = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320] as const;
/** Bit rates of MPEG-2 layer III, low sampling frequencies (ISO/IEC 13818-3, 2.4.2.3). */
export const MPEG_2_RATES = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160] as const;
/** MPEG-2.5 is no standard; LAME and its decoders take the MPEG-2 rates up to 64. */
const MPEG_25_RATES = [8, 16, 24, 32, 40, 48, 56, 64] as const;

/** Every sample rate that an MP3 can have, ascending, in Hz. */
const MP3_SAMPLE_RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000] as const;

/** Every bit rate that some MP3 can have, ascending, in kbit/s. */
export const MP3_BITRATES: readonly number[] = [...new Set([...MPEG_1_RATES, ...MPEG_2_RATES])].sort(
  (a, b) => a - b,
);

/** The legal bit rates, ascending, of an MP3 with this sample rate. */
export function legalBitrates(sampleRateHz: number): readonly number[] {
  if (sampleRateHz >= 32000) return MPEG_1_RATES;
  return sampleRateHz >= 16000 ? MPEG_2_RATES : MPEG_25_RATES;
}

/**
 * The sample rate of the MP3: the source's own where an MP3 can have it; above 48 kHz the one that divides it; else the
 * next higher one, or the next lower one where that is less than 2 % away.
 */
export function outputSampleRate(sourceHz: number): number {
  if (sourceHz > 48000) return sourceHz % 44100 === 0 ? 44100 : 48000;
  return MP3_SAMPLE_RATES.find((rate) => rate >= sourceHz * 0.98) ?? 48000;
}

/** Codecs that need as many bits as MP3 for the same sound. All the other lossy ones need fewer: 1.5 is generous. */
const NO_BETTER_THAN_MP3 = /^(mp[123]|ac3|eac3|dts|dca|wmav[12]|cook|ra_|nellymoser|adpcm_|gsm)/;
const MOST_FOR_MONO_KBPS = 128;

function nextStandard(rates: readonly number[], atLeast: number): number {
  return rates.find((rate) => rate >= atLeast) ?? rates.at(-1) ?? atLeast;
}

function highestUpTo(rates: readonly number[], most: number): number {
  return rates.findLast((rate) => rate <= most) ?? rates[0] ?? most;
}

/** The highest bit rate that a lossy source can fill; Infinity where nothing limits it. */
function usableKbps(source: SourceSound, rates: readonly number[]): number {
  if (source.lossless || source.bitrateKbps === null || source.bitrateKbps <= 0) return Infinity;
  const factor = NO_BETTER_THAN_MP3.test(source.codec) ? 1 : 1.5;
  // Containers round the rate and count a little differently: 191.4 and 193 are both 192.
  const needed = nextStandard(rates, source.bitrateKbps * factor * 0.98);
  // Below this LAME cuts off audible treble, and the file is small anyway.
  return Math.max(needed, source.sampleRateHz >= 32000 ? 64 : 32);
}

/** How to encode `source`; an explicit bit rate is obeyed as far as the sample rate allows. */
export function chooseBitrate(options: AudioOptions, source: SourceSound): EncodingChoice {
  const sampleRateHz = outputSampleRate(source.sampleRateHz);
  const channels = source.channels === 1 ? 1 : 2;
  if (options.mode === 'vbr') return { mode: 'vbr', quality: options.quality, sampleRateHz, channels };
  const rates = legalBitrates(sampleRateHz);
  if (options.explicit) {
    return { mode: 'cbr', bitrateKbps: highestUpTo(rates, options.bitrateKbps), sampleRateHz, channels };
  }
  const most = Math.min(
    options.bitrateKbps,
    usableKbps(source, rates),
    channels === 1 ? MOST_FOR_MONO_KBPS : Infinity,
  );
  return { mode: 'cbr', bitrateKbps: highestUpTo(rates, most), sampleRateHz, channels };
}
