import { EncoderProcess, type EncoderExit } from './encoder-process.ts';
import type { Encoder, EncoderCommand, Told, ToldReader } from './encoder.ts';

export interface RunStart {
  readonly encoder: Encoder;
  readonly command: EncoderCommand;
  readonly descriptor: number;
  readonly cpuSeconds: number;
  readonly onReport: (told: Told) => void;
}

/** Log and output are two pipes: how long the log may come after the first bytes of output. */
const LOG_AFTER_OUTPUT_MS = 500;
const LOG_END_CHARACTERS = 2000;

/** One start of an encoder program, with what it has told. */
export class EncoderRun {
  /** Resolves when it is known how the program encodes, or that it never will. */
  readonly settled: Promise<void>;
  readonly #process: EncoderProcess;
  readonly #reader: ToldReader;
  readonly #output: AsyncIterator<Uint8Array>;
  readonly #firstStep: Promise<IteratorResult<Uint8Array>>;
  #timer: NodeJS.Timeout | undefined;

  constructor(start: RunStart) {
    const known = Promise.withResolvers<undefined>();
    const reader = start.encoder.reader();
    const look = (): void => {
      if (reader.told.encoding !== undefined) known.resolve(undefined);
    };
    this.#reader = reader;
    this.#process = new EncoderProcess({
      command: start.command,
      descriptor: start.descriptor,
      cpuSeconds: start.cpuSeconds,
      onLogLine: (line) => {
        reader.logLine(line);
        look();
      },
      onReportLine: (line) => {
        reader.reportLine(line);
        look();
        start.onReport(reader.told);
      },
    });
    this.#output = (this.#process.output as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    // Begun at once: Node throws away what nobody reads when a process exits.
    this.#firstStep = this.#output.next();
    this.#firstStep.then(
      () =>
        (this.#timer = setTimeout(() => {
          known.resolve(undefined);
        }, LOG_AFTER_OUTPUT_MS)),
      () => undefined,
    );
    void this.#process.exited.then(() => {
      clearTimeout(this.#timer);
      known.resolve(undefined);
    });
    this.settled = known.promise;
  }

  get told(): Told {
    return this.#reader.told;
  }

  get exited(): Promise<EncoderExit> {
    return this.#process.exited;
  }

  get logEnd(): string {
    return this.#process.log.end(LOG_END_CHARACTERS);
  }

  /** MP3 frames as they come, in chunks that have nothing to do with frames. To be read once. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let step = await this.#firstStep; step.done !== true; step = await this.#output.next())
      yield step.value;
  }

  kill(): void {
    this.#process.kill();
  }
}
