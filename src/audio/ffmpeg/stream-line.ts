/** What one `Stream #0:1: Audio: …` line of ffmpeg says. */
export interface AudioLine {
  readonly codec: string;
  /** 0 where the line does not say. */
  readonly sampleRateHz: number;
  readonly channels: number;
  readonly bitrateKbps: number | null;
}

/** Reads e.g. `Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 96 kb/s (default)`. */
export function readAudioLine(line: string): AudioLine {
  const text = /Audio: (.*)$/.exec(line)?.[1] ?? '';
  const [, rate, layout] = /, (\d+) Hz, ([^,]+)/.exec(text) ?? [];
  const kbps = /, (\d+) kb\/s/.exec(text)?.[1];
  return {
    codec: /^[\w-]+/.exec(text)?.[0] ?? 'unknown',
    sampleRateHz: Number(rate ?? /, (\d+) Hz/.exec(text)?.[1] ?? 0),
    channels: countChannels(layout ?? ''),
    bitrateKbps: kbps === undefined ? null : Number(kbps),
  };
}

/** `mono`, `stereo`, `5.1(side)`, `7 channels`, …; the other names of layouts all mean more than two. */
function countChannels(layout: string): number {
  if (/^mono|^1 channels/.test(layout)) return 1;
  if (/^stereo|^downmix|^2 channels|^binaural/.test(layout)) return 2;
  const counted = /^(\d+) channels/.exec(layout)?.[1];
  if (counted !== undefined) return Number(counted);
  const [, main, low] = /^(\d+)\.(\d+)/.exec(layout) ?? [];
  if (main !== undefined && low !== undefined) return Number(main) + Number(low);
  return layout.startsWith('quad') ? 4 : layout === '' ? 2 : 3;
}

/** True for the codecs whose bit rate says nothing about what is worth keeping. */
export function isLossless(codec: string): boolean {
  return /^(pcm_(?!alaw|mulaw|vidc)|flac|alac|truehd|mlp|wavpack|ape$|tta|tak|mp4als|wmalossless|ralf|s302m|dsd)/.test(
    codec,
  );
}

/** `01:02:03.45` in milliseconds; null where it is none (`N/A`). */
export function readClock(clock: string | undefined): number | null {
  const [, hours, minutes, seconds] = /^(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$/.exec(clock ?? '') ?? [];
  if (hours === undefined) return null;
  return Math.round(Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000);
}
