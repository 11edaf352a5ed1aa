import { ERRORS } from '../../domain/errors.ts';
import type { EncoderFailure, FoundEncoding, FoundSource, Told, ToldReader } from '../encoder.ts';
import { mp3Tags } from '../source-tags.ts';
import { isLossless, readAudioLine, readClock } from './stream-line.ts';

type Scope = 'none' | 'input' | 'chapter' | 'program' | 'stream' | 'output' | 'end';

interface AudioTrack {
  readonly line: string;
  readonly tags: [string, string][];
}

const SENTENCES = {
  'audio.no-sound': ERRORS['audio.no-sound'].meaning,
  'audio.not-media': ERRORS['audio.not-media'].meaning,
  'audio.encoder-missing': 'The ffmpeg of this machine cannot make MP3s.',
} as const;
const EMPTY_TRACK = { code: 'audio.no-sound', message: 'The sound track of the file is empty.' } as const;

/**
 * Reads what ffmpeg prints with `-v verbose` (checked with 5.1; newer forms as far as they are known) and its `-progress`. The form of these lines is no
 * promise of ffmpeg's, so each one may be missing, and nothing here is trusted where the MP3 itself can tell.
 */
export class FfmpegReader implements ToldReader {
  #scope: Scope = 'none';
  /** Tags of the container, in ffmpeg's order. */
  readonly #tags: [string, string][] = [];
  readonly #tracks: AudioTrack[] = [];
  /** Tags of the stream that is being described, where that is a sound track. */
  #current: [string, string][] | undefined;
  #format = '';
  #hasPicture = false;
  #durationMs: number | null = null;
  #containerKbps: number | null = null;
  #source: FoundSource | undefined;
  #encoding: FoundEncoding | undefined;
  #mediaMs = 0;
  #samples: number | undefined;
  #truncated = false;
  #failure: EncoderFailure | undefined;
  #readsNothing = false;

  get told(): Told {
    return {
      source: this.#source,
      encoding: this.#encoding,
      mediaMs: this.#mediaMs,
      samples: this.#samples,
      truncated: this.#truncated,
      failure: this.#failure ?? (this.#readsNothing && this.#samples === 0 ? EMPTY_TRACK : undefined),
    };
  }

  reportLine(line: string): void {
    const value = /^out_time_us=(\d+)/.exec(line)?.[1];
    if (value !== undefined) this.#mediaMs = Math.max(this.#mediaMs, Number(value) / 1000);
  }

  logLine(line: string): void {
    // From 6.1 on ffmpeg names the input or output that it speaks of.
    const text = line.replace(/^\[(?:in|out)#\d\S* @ 0x[0-9a-f]+\] /, '');
    if (text.startsWith(' ')) this.#indented(text);
    else if (text.startsWith('[')) this.#notice(text);
    else this.#heading(text);
  }

  #heading(line: string): void {
    const input = /^Input #0, (\S+), from /.exec(line);
    if (input !== null && this.#scope === 'none') {
      this.#scope = 'input';
      this.#format = input[1] ?? '';
    } else if (line.startsWith('Stream mapping:') || line.startsWith('Output #0')) {
      this.#settleSource();
      this.#scope = 'output';
    } else if (/^(Input|Output) file #0/.test(line)) {
      this.#scope = 'end';
    } else {
      this.#notice(line);
    }
  }

  #indented(line: string): void {
    if (this.#scope === 'end') this.#finalCount(line);
    else if (this.#scope === 'output') this.#outputLine(line);
    else if (this.#scope !== 'none') this.#inputLine(line);
  }

  #inputLine(line: string): void {
    const stream = /^ {2,4}Stream #0:\d+\S*: (Audio|Video|\w+)/.exec(line);
    if (stream !== null) {
      this.#scope = 'stream';
      if (stream[1] === 'Audio') this.#tracks.push({ line, tags: [] });
      // A cover picture is no film: what else is in the file is then the sound alone.
      else if (stream[1] === 'Video' && !line.includes('(attached pic)')) this.#hasPicture = true;
      this.#current = stream[1] === 'Audio' ? this.#tracks.at(-1)?.tags : undefined;
    } else if (/^ {2,4}Chapter/.test(line)) {
      this.#scope = 'chapter';
    } else if (/^ {2}Program /.test(line)) {
      this.#scope = 'program';
    } else if (line.startsWith('  Duration: ')) {
      this.#durationMs = readClock(/Duration: ([\d:.]+)/.exec(line)?.[1]);
      this.#containerKbps = Number(/bitrate: (\d+) kb/.exec(line)?.[1] ?? 0) || null;
    } else {
      this.#tagLine(line);
    }
  }

  #tagLine(line: string): void {
    const tags = this.#scope === 'input' ? this.#tags : this.#scope === 'stream' ? this.#current : undefined;
    const [, name, value] = /^ {4,6}(\S[^:]*?) *: (.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) {
      tags?.push([name, value]);
      return;
    }
    // A value of several lines goes on under an empty name.
    const more = /^ {4,6} {16}: (.*)$/.exec(line)?.[1];
    const last = tags?.at(-1);
    if (more !== undefined && last !== undefined) last[1] += ` ${more}`;
  }

  #settleSource(): void {
    const [track] = this.#tracks;
    if (this.#source !== undefined || track === undefined) return;
    const sound = readAudioLine(track.line);
    const bps = track.tags.find(([name]) => /^BPS(-|$)/.test(name))?.[1];
    const ownKbps = sound.bitrateKbps ?? (Number(bps ?? 0) / 1000 || null);
    const onlySound = this.#tracks.length === 1 && !this.#hasPicture;
    // In Ogg the tags belong to the stream; elsewhere a track's title is its name ("English", "Stereo").
    const tags = this.#format === 'ogg' ? [...this.#tags, ...track.tags] : this.#tags;
    this.#source = {
      ...sound,
      bitrateKbps: ownKbps ?? (onlySound ? this.#containerKbps : null),
      lossless: isLossless(sound.codec),
      durationMs: this.#durationMs,
      tags: mp3Tags(tags),
    };
  }

  #outputLine(line: string): void {
    if (!/^ {2,4}Stream #0:0\S*: Audio: mp3/.test(line)) return;
    const { sampleRateHz, channels, bitrateKbps } = readAudioLine(line);
    this.#encoding = { sampleRateHz, channels, bitrateKbps };
  }

  #finalCount(line: string): void {
    const samples = /^ {2}Output stream #0:0 \(audio\): \d+ frames encoded \((\d+) samples\)/.exec(line)?.[1];
    if (samples !== undefined) this.#samples = Number(samples);
    if (/^ {2}Input stream #0:\d+ \(audio\): 0 packets read/.test(line)) this.#readsNothing = true;
  }

  /** Lines of ffmpeg itself and of its parts (`[mov,mp4… @ 0x…]`), which differ a little between versions. */
  #notice(line: string): void {
    if (/: partial file$|File ended prematurely|Truncating packet of size/.test(line)) this.#truncated = true;
    const code = this.#verdictIn(line);
    if (code !== undefined) this.#failure ??= { code, message: SENTENCES[code] };
  }

  #verdictIn(line: string): keyof typeof SENTENCES | undefined {
    if (/Stream map '.*' matches no streams/.test(line)) return 'audio.no-sound';
    if (line.includes("Unknown encoder 'libmp3lame'")) return 'audio.encoder-missing';
    if (this.#scope !== 'none') return undefined;
    if (/^\[\w+ @ 0x[0-9a-f]+\] Format not on whitelist/.test(line)) return 'audio.not-media';
    const refused = line.endsWith('Invalid data found when processing input');
    return refused && /^\/dev\/fd\/0: |Error opening input/.test(line) ? 'audio.not-media' : undefined;
  }
}
