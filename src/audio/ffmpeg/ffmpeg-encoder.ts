import type { AudioOptions } from '../../domain/audio-options.ts';
import type { EncodingChoice } from '../bit-rate.ts';
import { DEMUXERS } from '../demuxers.ts';
import type { Encoder, EncoderCommand } from '../encoder.ts';
import { FfmpegReader } from './ffmpeg-reader.ts';

const ADDRESS_SPACE_KIB = 2 * 1024 * 1024;

/** The ffmpeg of this machine, 4.4 or newer (`-stats_period`). */
export class FfmpegEncoder implements Encoder {
  readonly guesses = true;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  command(options: AudioOptions, choice: EncodingChoice | undefined): EncoderCommand {
    return { file: this.#path, args: ffmpegArguments(options, choice), addressSpaceKib: ADDRESS_SPACE_KIB };
  }

  reader(): FfmpegReader {
    return new FfmpegReader();
  }
}

/**
 * ffmpeg opens its descriptor 0 by the name of that descriptor, so that it can seek and still never sees a name of
 * ours. No Xing frame and no ID3 tag: ours are better.
 */
export function ffmpegArguments(options: AudioOptions, choice: EncodingChoice | undefined): string[] {
  const wanted = choice ?? options;
  const quality =
    wanted.mode === 'vbr' ? ['-q:a', String(wanted.quality)] : ['-b:a', `${String(wanted.bitrateKbps)}k`];
  const shape =
    choice === undefined ? [] : ['-ar', String(choice.sampleRateHz), '-ac', String(choice.channels)];
  return [
    ...[
      '-nostdin',
      '-hide_banner',
      '-nostats',
      '-v',
      'verbose',
      '-progress',
      'pipe:3',
      '-stats_period',
      '0.2',
    ],
    ...[
      '-protocol_whitelist',
      'file',
      '-format_whitelist',
      DEMUXERS.join(','),
      '-threads',
      '1',
      '-i',
      '/dev/fd/0',
    ],
    ...['-map', '0:a:0', '-vn', '-sn', '-dn', '-map_metadata', '-1', '-map_chapters', '-1'],
    ...['-c:a', 'libmp3lame', ...quality, ...shape, '-threads', '1'],
    ...[
      '-write_xing',
      '0',
      '-id3v2_version',
      '0',
      '-write_id3v1',
      '0',
      '-flush_packets',
      '0',
      '-f',
      'mp3',
      'pipe:1',
    ],
  ];
}
