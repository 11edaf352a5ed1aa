import type { ErrorCode } from '../../domain/errors.ts';
import { writeAll } from './blocking-write.ts';

/** What the worker tells on its descriptor 3, one JSON object a line. */
export type Report =
  | {
      readonly type: 'source';
      readonly codec: string;
      readonly sampleRateHz: number;
      readonly channels: number;
      readonly bitrateKbps: number | null;
      readonly durationMs: number | null;
      readonly tags: Readonly<Record<string, string>>;
      readonly lossless: boolean;
    }
  | {
      readonly type: 'encoding';
      readonly sampleRateHz: number;
      readonly channels: number;
      readonly bitrateKbps: number | null;
    }
  | { readonly type: 'progress'; readonly mediaMs: number }
  | { readonly type: 'done'; readonly samples: number; readonly truncated: boolean }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

const REPORT_DESCRIPTOR = 3;
const PROGRESS_EVERY_MS = 200;

/** Writes reports; progress at most five times a second. Throws where nobody reads them any more. */
export class ReportPipe {
  #nextProgress = 0;

  tell(report: Report): void {
    writeAll(REPORT_DESCRIPTOR, Buffer.from(`${JSON.stringify(report)}\n`));
  }

  /** True where a progress report was due and written. */
  progress(mediaMs: number): boolean {
    const now = performance.now();
    if (now < this.#nextProgress) return false;
    this.#nextProgress = now + PROGRESS_EVERY_MS;
    this.tell({ type: 'progress', mediaMs: Math.round(mediaMs) });
    return true;
  }
}
