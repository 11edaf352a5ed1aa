import { AV_NOPTS_VALUE, AVMEDIA_TYPE_AUDIO } from 'node-av/constants';
import { avGetCodecName } from 'node-av/lib';
import { isLossless } from '../ffmpeg/stream-line.ts';
import type { Report } from './reports.ts';
import type { Source } from './source.ts';

const MOST_TAGS = 40;
const MOST_TAG_CHARACTERS = 1000;

/** What the container and its first decoded frame say about the sound; `estimatedKbps` is for where they say no bit rate. */
export function describeSource(
  source: Source,
  frame: { sampleRateHz: number; channels: number },
  estimatedKbps: number | undefined,
): Report & { type: 'source' } {
  const codec = avGetCodecName(source.track.codecpar.codecId) ?? 'unknown';
  return {
    type: 'source',
    codec,
    ...frame,
    bitrateKbps: bitrateKbps(source) ?? (isFirst(source) ? (estimatedKbps ?? null) : null),
    durationMs: durationMs(source),
    tags: tags(source),
    lossless: isLossless(codec),
  };
}

function bitrateKbps({ context, track }: Source): number | null {
  const own = Number(track.codecpar.bitRate);
  // In a file of sound only, what the whole file has is the sound's.
  const bits = own > 0 ? own : context.nbStreams === 1 ? Number(context.bitRate) : 0;
  return bits > 0 ? Math.round(bits / 1000) : null;
}

/** A track may have been taken because those before it cannot be decoded: the estimate is not of it. */
function isFirst({ context, track }: Source): boolean {
  const first = context.streams.find((stream) => stream.codecpar.codecType === AVMEDIA_TYPE_AUDIO);
  return first?.index === track.index;
}

function durationMs({ context, track }: Source): number | null {
  const { num, den } = track.timeBase;
  if (track.duration !== AV_NOPTS_VALUE && track.duration > 0n) {
    return Math.round((Number(track.duration) * num * 1000) / den);
  }
  return context.duration !== AV_NOPTS_VALUE && context.duration > 0n
    ? Number(context.duration / 1000n)
    : null;
}

function tags({ context, track }: Source): Record<string, string> {
  // In Ogg the tags belong to the track; elsewhere a track's title is its name ("English", "Stereo").
  const own = context.iformat?.name === 'ogg' ? track.metadata?.getAll() : undefined;
  const entries = Object.entries({ ...own, ...context.metadata?.getAll() });
  return Object.fromEntries(
    entries.slice(0, MOST_TAGS).map(([name, text]) => [name, text.slice(0, MOST_TAG_CHARACTERS)]),
  );
}
