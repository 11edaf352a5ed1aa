const WIDTH = 24;
const REDRAW_MS = 100;

/** One line for each file on standard error: bars on a terminal, only the results elsewhere. */
export class ProgressBars {
  readonly #names: readonly string[];
  readonly #shares = new Map<number, number>();
  readonly #isTerminal = process.stderr.isTTY;
  #drawn = 0;
  #drawnAt = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  update(index: number, share: number): void {
    this.#shares.set(index, share);
    if (Date.now() - this.#drawnAt >= REDRAW_MS) this.#draw();
  }

  finish(index: number, said: string): void {
    this.#end(index, `✓ ${said}`);
  }

  fail(index: number, why: string): void {
    this.#end(index, `✗ ${this.#names[index] ?? ''}: ${why}`);
  }

  close(): void {
    this.#erase();
  }

  #end(index: number, line: string): void {
    this.#shares.delete(index);
    this.#erase();
    process.stderr.write(`${line}\n`);
    this.#draw();
  }

  #draw(): void {
    if (!this.#isTerminal) return;
    this.#erase();
    // Some terminals say 0, others nothing.
    const columns = process.stderr.columns || 80;
    for (const [index, share] of this.#shares) {
      const full = Math.round(share * WIDTH);
      const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full);
      const line = `${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${this.#names[index] ?? ''}`;
      process.stderr.write(`${line.slice(0, columns - 1)}\n`);
    }
    this.#drawn = this.#shares.size;
    this.#drawnAt = Date.now();
  }

  /** Takes back the bars, so that results stand above them. */
  #erase(): void {
    if (this.#drawn > 0) process.stderr.write(`\u001B[${String(this.#drawn)}A\u001B[J`);
    this.#drawn = 0;
  }
}
