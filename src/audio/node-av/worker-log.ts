import { writeSync } from 'node:fs';
import { AV_LOG_WARNING } from 'node-av/constants';
import { Log } from 'node-av/lib';

const LOG_DESCRIPTOR = 2;
const MOST_LINES = 200;

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
  #heard = 0;
  #written = 0;

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
    // The binding hands its lines to the event loop, at most some hundred a turn.
    for (let before = -1; before !== this.#heard;) {
      before = this.#heard;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  close(): void {
    Log.resetCallback();
  }

  #hear(line: string): void {
    this.#heard += 1;
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
