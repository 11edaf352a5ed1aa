import type { AudioOptions } from '../domain/audio-options.ts';
import { AudiowaveError } from '../domain/errors.ts';
import type { AudioEngine, AudioRequest, AudioResult, EncoderProgram } from '../ports/audio-engine.ts';
import { MP3_BITRATES } from './bit-rate.ts';
import { encode } from './encode.ts';
import type { Encoder } from './encoder.ts';
import { FfmpegEncoder } from './ffmpeg/ffmpeg-encoder.ts';
import { findProgram, type ProgramSearch } from './find-program.ts';
import { NodeAvEncoder } from './node-av/node-av-encoder.ts';
import { SourceFile } from './source-file.ts';

export interface AudioEngineOptions extends ProgramSearch {
  /** Folder for copies of sources that are no files of this machine. Nothing in it outlives a conversion. */
  readonly scratchFolder: string;
  /** Most time that one conversion may take. */
  readonly timeoutMs: number;
  /** Most time without any sign of life of the encoder program; 60 s by default. */
  readonly stallMs?: number;
  readonly maxMp3Bytes: number;
}

const STALL_MS = 60_000;

/** An engine that runs ffmpeg or our node-av worker, one process for each conversion. */
export function createAudioEngine(options: AudioEngineOptions): AudioEngine {
  return new ProcessAudioEngine(options);
}

class ProcessAudioEngine implements AudioEngine {
  readonly #options: AudioEngineOptions;

  constructor(options: AudioEngineOptions) {
    this.#options = options;
  }

  program(): Promise<EncoderProgram> {
    return findProgram(this.#options);
  }

  async convert(request: AudioRequest): Promise<AudioResult> {
    checkOptions(request.options);
    throwIfCancelled(request.signal);
    const encoder = encoderOf(await this.program());
    const file = await this.#openSource(request);
    try {
      const { timeoutMs, stallMs = STALL_MS, maxMp3Bytes } = this.#options;
      return await encode(request, file, encoder, { timeoutMs, stallMs, maxMp3Bytes });
    } finally {
      await file.close();
    }
  }

  async #openSource({ source, signal }: AudioRequest): Promise<SourceFile> {
    throwIfCancelled(signal);
    const { scratchFolder, timeoutMs } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      return await SourceFile.open(source, scratchFolder, AbortSignal.any([signal, deadline]));
    } catch (error) {
      throwIfCancelled(signal);
      if (deadline.aborted) throw new AudiowaveError('audio.too-long', undefined, { cause: error });
      throw error;
    }
  }
}

function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new AudiowaveError('audio.cancelled', undefined, { cause: signal.reason });
}

function encoderOf(program: EncoderProgram): Encoder {
  return program.kind === 'ffmpeg' && program.path !== undefined
    ? new FfmpegEncoder(program.path)
    : new NodeAvEncoder();
}

/** Throws `audio.unsupported-option` for a bit rate or quality that no MP3 can have. */
function checkOptions(options: AudioOptions): void {
  if (options.mode === 'cbr' && !MP3_BITRATES.includes(options.bitrateKbps)) {
    throw new AudiowaveError(
      'audio.unsupported-option',
      `An MP3 cannot have ${String(options.bitrateKbps)} kbit/s; it can have ${MP3_BITRATES.join(', ')}.`,
    );
  }
  if (options.mode === 'vbr' && !(options.quality >= 0 && options.quality <= 9)) {
    throw new AudiowaveError(
      'audio.unsupported-option',
      'The quality of a variable bit rate is 0 (best) to 9 (smallest).',
    );
  }
}
