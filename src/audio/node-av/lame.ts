import {
  AV_CODEC_FLAG_QSCALE,
  AV_SAMPLE_FMT_FLTP,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_QP2LAMBDA,
} from 'node-av/constants';
import {
  avChannelLayoutDefault,
  Codec,
  CodecContext,
  FFmpegError,
  Packet,
  Rational,
  type Frame,
} from 'node-av/lib';
import type { EncodingChoice } from '../bit-rate.ts';

/** LAME inside FFmpeg: takes frames of sound, gives MP3 frames without any header of a file. */
export class Lame {
  /** Samples per channel that were given to LAME. */
  samples = 0;
  /** How many samples each frame but the last must have. */
  readonly samplesPerFrame: number;
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #onBytes: (bytes: Uint8Array) => void;

  constructor(choice: EncodingChoice, onBytes: (bytes: Uint8Array) => void) {
    const codec = Codec.findEncoderByName('libmp3lame' as Parameters<typeof Codec.findEncoderByName>[0]);
    if (codec === null) throw new Error('This build of node-av has no LAME');
    this.#onBytes = onBytes;
    this.#packet.alloc();
    const context = this.#context;
    context.allocContext3(codec);
    context.sampleRate = choice.sampleRateHz;
    context.channelLayout = avChannelLayoutDefault(choice.channels);
    context.sampleFormat = AV_SAMPLE_FMT_FLTP;
    context.timeBase = new Rational(1, choice.sampleRateHz);
    if (choice.mode === 'cbr') context.bitRate = BigInt(choice.bitrateKbps * 1000);
    else {
      context.setFlags(AV_CODEC_FLAG_QSCALE);
      context.globalQuality = choice.quality * FF_QP2LAMBDA;
    }
    FFmpegError.throwIfError(context.open2Sync(codec, null), 'open LAME');
    this.samplesPerFrame = context.frameSize;
  }

  encode(frame: Frame): void {
    // Gaps and jumps of the source's clock are none of the sound's.
    frame.pts = BigInt(this.samples);
    this.samples += frame.nbSamples;
    this.#send(frame);
  }

  /** Gives out the frames that LAME still holds. */
  finish(): void {
    this.#send(null);
    this.#context.freeContext();
  }

  #send(frame: Frame | null): void {
    FFmpegError.throwIfError(this.#context.sendFrameSync(frame), 'encode');
    for (;;) {
      const code = this.#context.receivePacketSync(this.#packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      FFmpegError.throwIfError(code, 'encode');
      if (this.#packet.data !== null) this.#onBytes(this.#packet.data);
      this.#packet.unref();
    }
  }
}
