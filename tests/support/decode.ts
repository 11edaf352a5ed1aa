import { readFile } from 'node:fs/promises';
import { runProgram } from './run-program.ts';

export interface Decoded {
  /** 16-bit, interleaved, as ffmpeg decodes them. */
  readonly samples: Int16Array;
  readonly sampleRateHz: number;
  readonly channels: number;
  readonly durationMs: number;
  /** Every line that ffmpeg or mpg123 complained in, and one where the two disagree about the length. */
  readonly warnings: string[];
}

/** Decodes an MP3 with two decoders that are not ours, ffmpeg and mpg123, each from the first byte to the last. */
export async function decode(mp3Path: string): Promise<Decoded> {
  const [byFfmpeg, byMpg123] = await Promise.all([
    runProgram('ffmpeg', [
      '-v',
      'warning',
      '-nostdin',
      '-i',
      mp3Path,
      '-map',
      '0:a:0',
      '-c:a',
      'pcm_s16le',
      '-f',
      'wav',
      'pipe:1',
    ]),
    runProgram('mpg123', ['-e', 's16', '-s', mp3Path]),
  ]);
  const warnings = [
    ...complaints('ffmpeg', byFfmpeg.stderr, /\S/),
    ...complaints('mpg123', byMpg123.stderr, /warning|error|\[src\/|junk|resync|illegal|big_values|cannot/i),
  ];
  if (byFfmpeg.exitCode !== 0) warnings.push(`ffmpeg: exit code ${String(byFfmpeg.exitCode)}`);
  if (byMpg123.exitCode !== 0) warnings.push(`mpg123: exit code ${String(byMpg123.exitCode)}`);
  const wave = byFfmpeg.stdout;
  const data = wave.indexOf('data');
  if (data < 36) {
    warnings.push('ffmpeg: decoded nothing');
    return { samples: new Int16Array(0), sampleRateHz: 0, channels: 0, durationMs: 0, warnings };
  }
  const channels = wave.readUInt16LE(22);
  const sampleRateHz = wave.readUInt32LE(24);
  const samples = toSamples(wave.subarray(data + 8));
  const other = byMpg123.stdout.length / 2;
  if (other !== samples.length) {
    warnings.push(`ffmpeg decodes ${String(samples.length)} samples, mpg123 ${String(other)}`);
  }
  const durationMs = (samples.length / channels / sampleRateHz) * 1000;
  return { samples, sampleRateHz, channels, durationMs, warnings };
}

/** The sound of any media file as ffmpeg decodes it (first track), at the rate and channels given: what an MP3 is compared with. */
export async function decodeSource(
  path: string,
  form: { sampleRateHz: number; channels: number },
): Promise<Int16Array> {
  const shape = ['-ar', String(form.sampleRateHz), '-ac', String(form.channels)];
  const args = ['-v', 'quiet', '-nostdin', '-i', path, '-map', '0:a:0', ...shape, '-f', 's16le', 'pipe:1'];
  return toSamples((await runProgram('ffmpeg', args)).stdout);
}

/**
 * How alike two sounds are at the same positions: 1 the same, 0 nothing in common (normalised cross-correlation over
 * the shorter length). An MP3 of the right sound at the right place is above 0.9; one that is off by a frame is not.
 */
export function likeness(a: Int16Array, b: Int16Array): number {
  const length = Math.min(a.length, b.length);
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

function complaints(program: string, stderr: string, pattern: RegExp): string[] {
  const lines = stderr.split('\n').filter((line) => pattern.test(line));
  return lines.map((line) => `${program}: ${line.trim()}`);
}

function toSamples(bytes: Buffer): Int16Array {
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 2));
  return new Int16Array(whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length));
}

/** What an MP3's first frame says, read without any code of ours. */
export interface InfoTag {
  /** `Info` for a constant bit rate, `Xing` for a variable one; undefined where the first frame is sound. */
  readonly kind: 'Info' | 'Xing' | undefined;
  /** Frames of sound that the tag promises, without its own. */
  readonly frames: number | undefined;
  /** Bytes that the tag promises, its own frame included. */
  readonly bytes: number | undefined;
  /** Samples to drop in front and behind, from the LAME part. */
  readonly delay: number | undefined;
  readonly padding: number | undefined;
  /** Frames of sound that are really there, and bytes from the first frame to the end. */
  readonly framesFound: number;
  readonly bytesFound: number;
  /** Bit rate of each frame of sound, in kbit/s, without repeats. */
  readonly bitratesKbps: readonly number[];
}

const RATES_V1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_V2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/** Walks all frames of an MP3 (a leading ID3v2 is passed over) and reads its Info or Xing tag. Throws where a frame is broken. */
export async function readInfoTag(mp3: string | Uint8Array): Promise<InfoTag> {
  const bytes = Buffer.from(typeof mp3 === 'string' ? await readFile(mp3) : mp3);
  const start = bytes.toString('latin1', 0, 3) === 'ID3' ? 10 + syncSafe(bytes.subarray(6, 10)) : 0;
  const end =
    bytes.toString('latin1', bytes.length - 128, bytes.length - 125) === 'TAG'
      ? bytes.length - 128
      : bytes.length;
  const first = readFrame(bytes, start);
  const tagAt = start + 4 + (first.version1 ? (first.mono ? 17 : 32) : first.mono ? 9 : 17);
  const word = bytes.toString('latin1', tagAt, tagAt + 4);
  const kind = word === 'Info' || word === 'Xing' ? word : undefined;
  const rates = new Set<number>();
  let framesFound = 0;
  for (let at = kind === undefined ? start : start + first.length; at < end;) {
    const frame = readFrame(bytes, at);
    rates.add(frame.bitrateKbps);
    framesFound += 1;
    at += frame.length;
    if (at > end) throw new Error(`The last frame is ${String(at - end)} bytes short`);
  }
  const found = { framesFound, bytesFound: end - start, bitratesKbps: [...rates] };
  return { kind, ...(kind === undefined ? NO_TAG : readTag(bytes, tagAt)), ...found };
}

const NO_TAG = { frames: undefined, bytes: undefined, delay: undefined, padding: undefined };

function readTag(bytes: Buffer, tagAt: number): Pick<InfoTag, 'frames' | 'bytes' | 'delay' | 'padding'> {
  const flags = bytes.readUInt32BE(tagAt + 4);
  let at = tagAt + 8;
  const frames = (flags & 1) !== 0 ? bytes.readUInt32BE(at) : undefined;
  if (frames !== undefined) at += 4;
  const size = (flags & 2) !== 0 ? bytes.readUInt32BE(at) : undefined;
  if (size !== undefined) at += 4;
  at += ((flags & 4) !== 0 ? 100 : 0) + ((flags & 8) !== 0 ? 4 : 0);
  const encoder = /^(LAME|Lavc|Lavf)/.test(bytes.toString('latin1', at, at + 4));
  const gaps = encoder ? bytes.readUIntBE(at + 21, 3) : undefined;
  return {
    frames,
    bytes: size,
    delay: gaps === undefined ? undefined : gaps >> 12,
    padding: gaps === undefined ? undefined : gaps & 0xfff,
  };
}

interface FrameFacts {
  readonly length: number;
  readonly bitrateKbps: number;
  readonly version1: boolean;
  readonly mono: boolean;
}

function readFrame(bytes: Buffer, at: number): FrameFacts {
  const header = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0;
  const version = (header >>> 19) & 3;
  const layer3 = ((header >>> 17) & 3) === 1;
  if (header >>> 21 !== 0x7ff || version === 1 || !layer3) {
    throw new Error(`No MPEG layer III frame at byte ${String(at)}`);
  }
  const version1 = version === 3;
  const bitrateKbps = (version1 ? RATES_V1 : RATES_V2)[(header >>> 12) & 15];
  const base = [44_100, 48_000, 32_000][(header >>> 10) & 3];
  if (bitrateKbps === undefined || bitrateKbps === 0 || base === undefined) {
    throw new Error(`A frame header with a reserved value at byte ${String(at)}`);
  }
  const sampleRateHz = base / (version === 3 ? 1 : version === 2 ? 2 : 4);
  const padding = (header >>> 9) & 1;
  const length = Math.floor(((version1 ? 144 : 72) * bitrateKbps * 1000) / sampleRateHz) + padding;
  return { length, bitrateKbps, version1, mono: ((header >>> 6) & 3) === 3 };
}

function syncSafe(bytes: Buffer): number {
  return bytes.reduce((sum, byte) => (sum << 7) | (byte & 0x7f), 0);
}
