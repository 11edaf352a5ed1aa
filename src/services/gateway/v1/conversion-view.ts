import type { Conversion, Source } from '../../../domain/conversion.ts';
import type { ConversionView } from './schemas.ts';

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function isoTimeOrNull(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms);
}

/** `share` of 1 in percent, with one decimal. */
function percent(share: number | null): number | null {
  return share === null ? null : Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;
}

/** True while the MP3 can be downloaded. */
export function hasMp3(conversion: Conversion): boolean {
  return conversion.state === 'ready' && conversion.mp3Fid !== null && conversion.mp3RemovedAt === null;
}

function viewSource(source: Source): ConversionView['source'] {
  return source.kind === 'url' ? { kind: 'url', url: source.url } : { kind: source.kind };
}

/** A record as its owner sees it. */
export function viewConversion(c: Conversion): ConversionView {
  const self = `/api/v1/conversions/${c.id}`;
  return {
    id: c.id,
    state: c.state,
    name: c.name,
    source: viewSource(c.source),
    videoBytes: c.videoBytes,
    mp3Fid: c.mp3Fid,
    mp3Bytes: c.mp3Bytes,
    durationMs: c.durationMs === null ? null : Math.round(c.durationMs),
    progressPercent: percent(c.progress),
    incomplete: c.incomplete,
    failure: c.failure === null ? null : { code: c.failure.code, message: c.failure.message },
    attempts: c.attempts,
    mail: c.mail,
    createdAt: isoTime(c.createdAt),
    updatedAt: isoTime(c.updatedAt),
    startedAt: isoTimeOrNull(c.startedAt),
    endedAt: isoTimeOrNull(c.endedAt),
    links: { self, mp3: hasMp3(c) ? `${self}/mp3` : null },
  };
}
