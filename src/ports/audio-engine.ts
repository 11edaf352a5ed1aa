import type { AudioOptions } from '../domain/audio-options.ts';

/** The bytes of a whole video, from any store. */
export interface AudioSource {
  readonly sizeBytes: number;
  /** Bytes `start` to `end` (inclusive); from `start` to the end where no end is given. */
  read(range?: { start: number; end?: number; signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Where the bytes are a file of this machine: its path, never shown to the encoder program. */
  readonly localPath?: string;
}

/** Where the MP3 goes: a FileWriter of a store, a file, or standard output. */
export interface AudioSink {
  write(chunk: Uint8Array): Promise<void>;
  /** Replaces the first bytes. Absent where the sink can't go back (a pipe): the header then says only what was known first. */
  rewriteHead?(bytes: Uint8Array): Promise<void>;
}

/** Tags of the MP3 (ID3v2.4). What the source itself says wins over the name of its file. */
export interface AudioTags {
  readonly title?: string;
}

export interface AudioRequest {
  readonly source: AudioSource;
  readonly sink: AudioSink;
  readonly options: AudioOptions;
  readonly tags: AudioTags;
  readonly signal: AbortSignal;
  /** Share of the sound that is encoded, 0 to 1, from media time; never called where the length is unknown. At most some times a second. */
  readonly onProgress?: (share: number) => void;
}

export interface AudioResult {
  readonly durationMs: number;
  readonly mp3Bytes: number;
  /** The source broke off; the MP3 holds its beginning. */
  readonly incomplete: boolean;
  /** What was encoded, for the log: codec of the source, sample rate in Hz, channels, bit rate in kbit/s (null: variable). */
  readonly sourceCodec: string;
  readonly sampleRateHz: number;
  readonly channels: number;
  readonly bitrateKbps: number | null;
}

/** Which encoder program runs, for `doctor` and the start-up line. */
export interface EncoderProgram {
  /** `ffmpeg` (found on this machine) or `node-av` (brought by npm). */
  readonly kind: 'ffmpeg' | 'node-av';
  readonly version: string;
  /** Its file, where it has one of its own. */
  readonly path: string | undefined;
}

/**
 * Turns a video into an MP3. Promises, each with a test in `tests/contracts/audio-engine.contract.ts`:
 * - the MP3 decodes to the source's sound: same length to 50 ms, no decoder warning, right Xing/LAME header and tags;
 * - what can't work fails with a code that is not retryable and a sentence for people: `audio.empty`, `audio.not-media`,
 *   `audio.no-sound`, `audio.damaged`, `audio.unsupported-option`, `audio.too-long`;
 * - a source that breaks off but can be heard gives an MP3 of its beginning with `incomplete: true`;
 * - the encoder program is another process, gets no network, and is gone, children included, within 2 s of an abort (`audio.cancelled`);
 * - an encoder program that dies gives `audio.encoder-failed`, which is retryable;
 * - a failure in the sink ends the program and is thrown as it is.
 */
export interface AudioEngine {
  convert(request: AudioRequest): Promise<AudioResult>;
  /** `audio.encoder-missing` where there is none. */
  program(): Promise<EncoderProgram>;
}
