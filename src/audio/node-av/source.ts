import { fstatSync, readSync } from 'node:fs';
import {
  AVDISCARD_ALL,
  AVERROR_EIO,
  AVMEDIA_TYPE_AUDIO,
  AVSEEK_CUR,
  AVSEEK_END,
  AVSEEK_SIZE,
  type AVSeekWhence,
} from 'node-av/constants';
import { Codec, Dictionary, FormatContext, InputFormat, IOContext, type Stream } from 'node-av/lib';
import { AudiowaveError } from '../../domain/errors.ts';
import { DEMUXERS } from '../demuxers.ts';
import { DECODERS } from './decoders.ts';
import type { WorkerLog } from './worker-log.ts';

const READ_BYTES = 256 * 1024;
const PROBE_BYTES = 64 * 1024;

/** An opened container, and its first sound track. Every other track is passed over while reading. */
export interface Source {
  readonly context: FormatContext;
  readonly track: Stream;
  readonly decoder: Codec;
}

/**
 * Opens the regular file behind `descriptor`. Throws `audio.not-media`, `audio.damaged` (a known container that cannot
 * be read) or `audio.no-sound`.
 */
export async function openSource(descriptor: number, log: WorkerLog): Promise<Source> {
  const context = new FormatContext();
  context.allocContext();
  context.pb = openFile(descriptor);
  const rules = Dictionary.fromObject({
    format_whitelist: DEMUXERS.join(','),
    codec_whitelist: DECODERS.join(','),
    // No protocol has this name: the source is all that is ever read.
    protocol_whitelist: 'none',
  });
  if (context.openInputSync('', null, rules) < 0 || context.findStreamInfoSync(null) < 0) {
    await log.settle();
    throw refusal(descriptor, log);
  }
  return chooseTrack(context);
}

function openFile(descriptor: number): IOContext {
  const sizeBytes = fstatSync(descriptor).size;
  let position = 0;
  // The binding copies what it gets before it asks again.
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const file = new IOContext();
  file.allocContextWithCallbacks(
    READ_BYTES,
    0,
    (count) => {
      try {
        const length = readSync(descriptor, buffer, 0, Math.min(count, READ_BYTES), position);
        position += length;
        return length === 0 ? null : buffer.subarray(0, length);
      } catch {
        return AVERROR_EIO;
      }
    },
    null,
    (offset, whence) => {
      if ((whence & AVSEEK_SIZE) !== 0) return BigInt(sizeBytes);
      position = Number(offset) + origin(whence, position, sizeBytes);
      return BigInt(position);
    },
  );
  return file;
}

function origin(whence: AVSeekWhence, position: number, sizeBytes: number): number {
  if (whence === AVSEEK_CUR) return position;
  return whence === AVSEEK_END ? sizeBytes : 0;
}

function refusal(descriptor: number, log: WorkerLog): AudiowaveError {
  const head = Buffer.alloc(PROBE_BYTES);
  const length = readSync(descriptor, head, 0, PROBE_BYTES, 0);
  const format = length === 0 ? null : InputFormat.probe(head.subarray(0, length));
  const names = format?.name?.split(',') ?? [];
  if (log.sawNoIndex) {
    return new AudiowaveError(
      'audio.damaged',
      'The file has no index: it was cut off, or its recording was not finished.',
    );
  }
  return names.some((name) => DEMUXERS.includes(name))
    ? new AudiowaveError('audio.damaged', 'The file is damaged: its structure cannot be read.')
    : new AudiowaveError('audio.not-media');
}

function chooseTrack(context: FormatContext): Source {
  const tracks = context.streams.filter((stream) => stream.codecpar.codecType === AVMEDIA_TYPE_AUDIO);
  for (const track of tracks) {
    const decoder = Codec.findDecoder(track.codecpar.codecId);
    if (decoder === null || !DECODERS.includes(decoder.name ?? '')) continue;
    for (const stream of context.streams) if (stream.index !== track.index) stream.discard = AVDISCARD_ALL;
    return { context, track, decoder };
  }
  if (tracks.length === 0) throw new AudiowaveError('audio.no-sound');
  throw new AudiowaveError(
    'audio.not-media',
    'The sound of this file is coded in a way that we cannot read.',
  );
}
