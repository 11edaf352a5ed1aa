import type { AudioOptions } from '../domain/audio-options.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { EncodingChoice, SourceSound } from './bit-rate.ts';
import type { Mp3Tags } from './mp3/id3.ts';

/** What an encoder program has found in its source. */
export interface FoundSource extends SourceSound {
  /** Length that the container declares; null where it does not. */
  readonly durationMs: number | null;
  readonly tags: Mp3Tags;
}

/** How the program encodes. */
export interface FoundEncoding {
  readonly sampleRateHz: number;
  readonly channels: number;
  /** Null for a variable bit rate. */
  readonly bitrateKbps: number | null;
}

/** Why a program could not make an MP3, in the words of the engine. */
export interface EncoderFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Everything a running program has told so far. */
export interface Told {
  readonly source: FoundSource | undefined;
  readonly encoding: FoundEncoding | undefined;
  /** Sound that is encoded, in media time. */
  readonly mediaMs: number;
  /** Samples per channel that went into the MP3; undefined until the program is done. */
  readonly samples: number | undefined;
  /** The program noticed that the source breaks off. */
  readonly truncated: boolean;
  readonly failure: EncoderFailure | undefined;
}

/** Understands the log and the reports of one start of a program, line by line. */
export interface ToldReader {
  readonly told: Told;
  logLine(line: string): void;
  reportLine(line: string): void;
}

/** How to start a program. The source is its descriptor 0, its MP3 frames go to 1, its log to 2, its reports to 3. */
export interface EncoderCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** Address space in KiB; undefined where the program can't live with a limit. */
  readonly addressSpaceKib?: number;
  /** Private memory that can be written, in KiB. */
  readonly dataKib?: number;
}

/** One of the encoder programs. */
export interface Encoder {
  /** True where the program is started on a guess, and again where `chooseBitrate` then says something else. */
  readonly guesses: boolean;
  /**
   * `choice` is what was chosen after a wrong guess; `estimatedKbps` is for a program that chooses itself: the bit rate
   * of a source that does not say it.
   */
  command(
    options: AudioOptions,
    choice: EncodingChoice | undefined,
    estimatedKbps: number | undefined,
  ): EncoderCommand;
  reader(): ToldReader;
}
