import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { AV_LOG_ERROR, AV_LOG_WARNING } from 'node-av/constants';
import { Log } from 'node-av/lib';

const LOG_DESCRIPTOR = 2;
const MOST_LINES = 200;
/** For a binding that loses a line, which none should. */
const SETTLE_DEADLINE_MS = 10_000;

/** Lines in which a demuxer says that its file ends before it should. */
const BREAKS_OFF =
  /: partial file|File ended prematurely|Truncating packet of size|Packet corrupt|growing file|end of file.*too early/i;

/** What our own rules make FFmpeg say about every video: its pictures may not be decoded. */
const EXPECTED = / not on whitelist |^Failed to open codec in avformat_find_stream_info/;

/** FFmpeg's warnings and errors: passed on to descriptor 2, within bounds, and searched for signs of a cut file. */
export class WorkerLog {
  /** True once FFmpeg has said that the source breaks off. Its lines arrive only while this program awaits. */
  sawCut = false;
  /** True once FFmpeg has missed the index of an MP4. */
  sawNoIndex = false;
  #written = 0;
  readonly #marks = new Map<string, () => void>();

  /** Keeps the process alive until {@link close}. */
  open(): void {
    Log.setCallback(
      (_level, message) => {
        this.#hear(message.trim());
      },
      { maxLevel: AV_LOG_WARNING },
    );
  }

  /** Waits until all that FFmpeg has said so far is heard. */
  async settle(): Promise<void> {
    const mark = randomUUID();
    let deadline: NodeJS.Timeout | undefined;
    const heard = new Promise<void>((resolve) => {
      this.#marks.set(mark, resolve);
      // The binding's queue alone would not keep the process alive until then.
      deadline = setTimeout(resolve, SETTLE_DEADLINE_MS);
    });
    // Lines come through one queue, in turn: when one of our own is heard, so are all before it. To wait for a turn of
    // the event loop is not enough: it may run its timers before it looks at the queue.
    Log.log(AV_LOG_ERROR, mark);
    await heard;
    clearTimeout(deadline);
    this.#marks.delete(mark);
  }

  close(): void {
    Log.resetCallback();
  }

  #hear(line: string): void {
    const reached = this.#marks.get(line);
    if (reached !== undefined) {
      reached();
      return;
    }
    if (EXPECTED.test(line)) return;
    if (BREAKS_OFF.test(line)) this.sawCut = true;
    if (line.includes('moov atom not found')) this.sawNoIndex = true;
    this.#written += 1;
    if (this.#written <= MOST_LINES) writeLine(line);
    if (this.#written === MOST_LINES) writeLine('(more lines are left out)');
  }
}

function writeLine(line: string): void {
  try {
    writeSync(LOG_DESCRIPTOR, `${line}\n`);
  } catch {
    // A log that nobody reads is no reason to stop; the other descriptors are.
  }
}
