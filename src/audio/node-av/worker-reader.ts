import { ERRORS, type ErrorCode } from '../../domain/errors.ts';
import type { EncoderFailure, FoundEncoding, FoundSource, Told, ToldReader } from '../encoder.ts';
import { mp3Tags } from '../source-tags.ts';

/** Reads the reports of our node-av worker. A line that is none of them is left out. */
export class WorkerReader implements ToldReader {
  #source: FoundSource | undefined;
  #encoding: FoundEncoding | undefined;
  #mediaMs = 0;
  #samples: number | undefined;
  #truncated = false;
  #failure: EncoderFailure | undefined;

  get told(): Told {
    return {
      source: this.#source,
      encoding: this.#encoding,
      mediaMs: this.#mediaMs,
      samples: this.#samples,
      truncated: this.#truncated,
      failure: this.#failure,
    };
  }

  logLine(): void {
    // Its log is kept for the detail of an error; what matters comes as a report.
  }

  reportLine(line: string): void {
    const report = parse(line);
    const type = report.type;
    if (type === 'source') this.#source = source(report);
    else if (type === 'encoding') this.#encoding = encoding(report);
    else if (type === 'progress') this.#mediaMs = Math.max(this.#mediaMs, number(report.mediaMs) ?? 0);
    else if (type === 'done') {
      this.#samples = number(report.samples) ?? undefined;
      this.#truncated = report.truncated === true;
    } else if (type === 'failed') {
      this.#failure = { code: audioCode(String(report.code)), message: String(report.message) };
    }
  }
}

type Report = Readonly<Record<string, unknown>>;

function parse(line: string): Report {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Report) : {};
  } catch {
    return {};
  }
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

function source(report: Report): FoundSource {
  const tags: unknown = report.tags;
  const entries = typeof tags === 'object' && tags !== null ? Object.entries(tags) : [];
  return {
    ...encoding(report),
    codec: String(report.codec),
    durationMs: number(report.durationMs),
    lossless: report.lossless === true,
    tags: mp3Tags(entries.map(([name, text]) => [name, String(text)] as const)),
  };
}

function encoding(report: Report): FoundEncoding {
  return {
    sampleRateHz: number(report.sampleRateHz) ?? 0,
    channels: number(report.channels) ?? 2,
    bitrateKbps: number(report.bitrateKbps),
  };
}

function audioCode(code: string): ErrorCode {
  return code.startsWith('audio.') && Object.hasOwn(ERRORS, code)
    ? (code as ErrorCode)
    : 'audio.encoder-failed';
}
