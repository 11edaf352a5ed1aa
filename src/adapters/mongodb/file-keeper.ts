import type { FileId } from '../../domain/ids.ts';
import type { WriterId } from './file-documents.ts';
import type { FileMarks, Writing } from './file-marks.ts';
import type { GridFsFileWriter } from './file-writer.ts';

/** How soon the keeper looks whether somebody follows, or has swept one of its files. */
const LOOK_MS = 500;
/** How often a followed file shows its last bytes. */
const SHOW_MS = 100;
/** How long a file is taken for followed after somebody asked. */
const FOLLOWED_MS = 5_000;
/** How often a living writer says so; a sweep takes writers for dead that were silent for far longer. */
const TOUCH_MS = 10_000;
/** How long the marks of whole files are gathered, so that many go with one call. */
const RELEASE_MS = 50;

interface Kept {
  readonly writer: GridFsFileWriter;
  /** The last count of askings, and until when (`performance.now()`) it is taken for followed. */
  follows: number;
  followedUntil: number;
  touchedAt: number;
}

/**
 * Looks after the files that this process is writing: tells the others that their writers live, shows followed ones,
 * removes those that could not be removed at once. Owns the timers of a store.
 */
export class WriterKeeper {
  readonly #marks: FileMarks;
  readonly #kept = new Map<FileId, Kept>();
  #released: Writing[] = [];
  #beat: NodeJS.Timeout | undefined;
  #release: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(marks: FileMarks) {
    this.#marks = marks;
  }

  /** The writer of a file, if it is one of this process. */
  writerOf(id: FileId): GridFsFileWriter | undefined {
    return this.#kept.get(id)?.writer;
  }

  get writers(): GridFsFileWriter[] {
    return [...this.#kept.values()].map(({ writer }) => writer);
  }

  add(writer: GridFsFileWriter): void {
    const touchedAt = performance.now();
    this.#kept.set(writer.id, { writer, follows: 0, followedUntil: 0, touchedAt });
    this.#schedule(LOOK_MS);
  }

  /** A writer has ended; the mark of a whole file goes a moment later. */
  drop(writer: GridFsFileWriter, end: 'whole' | 'gone'): void {
    // Another one may write the file by now, where this one was abandoned.
    if (this.#kept.get(writer.id)?.writer === writer) this.#kept.delete(writer.id);
    if (end === 'gone') return;
    this.#released.push(writer.writing);
    this.#release ??= setTimeout(() => void this.#releaseMarks(), RELEASE_MS);
  }

  /** A writer has lost its file to somebody of this process; whoever writes learns it now. */
  forget(writer: WriterId): void {
    for (const [id, kept] of this.#kept) {
      if (kept.writer.writing.writer !== writer) continue;
      kept.writer.giveUp(undefined);
      this.#kept.delete(id);
    }
  }

  /** Ends the timers; marks of whole files go now. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#beat);
    await this.#releaseMarks();
  }

  async #releaseMarks(): Promise<void> {
    clearTimeout(this.#release);
    this.#release = undefined;
    const all = this.#released;
    this.#released = [];
    // A mark that stays says what is true, and sweep() removes it.
    if (all.length > 0) await this.#marks.releaseMany(all).catch(() => undefined);
  }

  #schedule(ms: number): void {
    if (this.#isStopped || this.#kept.size === 0) return;
    this.#beat ??= setTimeout(() => {
      void this.#look().then((isFollowed) => {
        this.#beat = undefined;
        this.#schedule(isFollowed ? SHOW_MS : LOOK_MS);
      });
    }, ms);
  }

  /** True where somebody follows. */
  async #look(): Promise<boolean> {
    const kept = [...this.#kept.values()];
    // What fails here is tried again with the next beat.
    await this.#readMarks(kept.filter(({ writer }) => writer.isOpen)).catch(() => undefined);
    await this.#touch(kept.filter(({ writer }) => writer.isOpen)).catch(() => undefined);
    const now = performance.now();
    const followed = kept.filter(({ writer, followedUntil }) => writer.isOpen && followedUntil > now);
    const shown = followed.map(({ writer }) => writer.showTail());
    const discarded = kept.filter(({ writer }) => writer.needsDiscard).map(({ writer }) => writer.discard());
    await Promise.allSettled([...shown, ...discarded]);
    return followed.length > 0;
  }

  async #readMarks(kept: readonly Kept[]): Promise<void> {
    if (kept.length === 0) return;
    const marks = await this.#marks.findMany(kept.map(({ writer }) => writer.writing.id));
    const byId = new Map(marks.map((mark) => [mark._id.toHexString(), mark]));
    for (const one of kept) {
      const mark = byId.get(one.writer.id);
      if (mark?.writer !== one.writer.writing.writer) {
        // Swept. Whoever writes learns it now, and not with the last byte.
        one.writer.giveUp(undefined);
      } else if ((mark.follows ?? 0) !== one.follows) {
        one.follows = mark.follows ?? 0;
        one.followedUntil = performance.now() + FOLLOWED_MS;
      }
    }
  }

  async #touch(kept: readonly Kept[]): Promise<void> {
    const now = performance.now();
    const due = kept.filter(({ touchedAt }) => now - touchedAt >= TOUCH_MS);
    if (due.length === 0) return;
    await this.#marks.touch(due.map(({ writer }) => writer.writing));
    for (const one of due) one.touchedAt = now;
  }
}
