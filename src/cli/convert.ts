import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, extname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AudioOptions } from '../domain/audio-options.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../domain/audio-options.ts';
import { asAudiowaveError, AudiowaveError } from '../domain/errors.ts';
import { openEngine } from '../host/roles.ts';
import type { AudioEngine } from '../ports/audio-engine.ts';
import { createMp3File, fileSource } from './convert-files.ts';
import { ProgressBars } from './progress-bars.ts';
import { readArguments, UsageError } from './usage.ts';

const OPTIONS = {
  output: { type: 'string', short: 'o' },
  bitrate: { type: 'string' },
  vbr: { type: 'string' },
  overwrite: { type: 'boolean' },
} as const;

interface Work {
  /** A path, or `-`. */
  readonly from: string;
  readonly to: string;
  readonly overwrite: boolean;
}

/** `audiowave convert <video…>`: 0 all converted, 1 one failed (the others are converted all the same), 2 usage. */
export async function convert(args: readonly string[]): Promise<number> {
  const { config, words, options } = readArguments(args, OPTIONS);
  const audio = audioOptions(options.bitrate, options.vbr);
  const works = await plan(words, options.output, options.overwrite === true);
  const scratch = await mkdtemp(join(tmpdir(), 'audiowave-'));
  const stop = new AbortController();
  const onSignal = (): void => {
    stop.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const engine = await openEngine(config, scratch);
    await engine.program();
    const failures = await convertAll(engine, works, { audio, scratch, signal: stop.signal });
    return failures === 0 ? 0 : 1;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await rm(scratch, { recursive: true, force: true });
  }
}

function audioOptions(bitrate: unknown, vbr: unknown): AudioOptions {
  if (bitrate !== undefined && vbr !== undefined) throw new UsageError('Use --bitrate or --vbr, not both.');
  if (typeof vbr === 'string') {
    if (!/^\d$/.test(vbr))
      throw new UsageError(`--vbr takes a quality from 0 (best) to 9 (smallest), not "${vbr}".`);
    return { mode: 'vbr', quality: Number(vbr) };
  }
  if (typeof bitrate !== 'string') return DEFAULT_AUDIO_OPTIONS;
  const kbps = /^(\d{1,3})k?$/i.exec(bitrate)?.[1];
  if (kbps === undefined || Number(kbps) < 8 || Number(kbps) > 320) {
    throw new UsageError(`--bitrate takes 8k to 320k, not "${bitrate}".`);
  }
  return { mode: 'cbr', bitrateKbps: Number(kbps), explicit: true };
}

async function plan(from: readonly string[], output: unknown, overwrite: boolean): Promise<readonly Work[]> {
  const [first] = from;
  if (first === undefined) throw new UsageError('Name a video to convert, or "-" for standard input.');
  if (from.filter((one) => one === '-').length > 1)
    throw new UsageError('Standard input can be converted once only.');
  const folder = typeof output === 'string' && (await isFolder(output)) ? output : undefined;
  if (typeof output === 'string' && folder === undefined) {
    if (from.length > 1) throw new UsageError('With several videos -o must name a folder that is there.');
    return [{ from: first, to: output, overwrite }];
  }
  const works = from.map((one) => ({ from: one, to: mp3Path(one, folder), overwrite }));
  refuseDoubles(works);
  return works;
}

function mp3Path(from: string, folder: string | undefined): string {
  return folder === undefined ? mp3Name(from) : join(folder, basename(mp3Name(from)));
}

/** One of two would overwrite the other, or fail after its work is done. */
function refuseDoubles(works: readonly Work[]): void {
  const taken = new Set<string>();
  for (const { to } of works) {
    const path = resolve(to);
    if (taken.has(path))
      throw new UsageError(`Two of the videos would become ${to}; convert them one by one with -o.`);
    taken.add(path);
  }
}

function mp3Name(from: string): string {
  return from === '-' ? '-' : `${from.slice(0, from.length - extname(from).length)}.mp3`;
}

async function isFolder(path: string): Promise<boolean> {
  return path !== '-' && (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

interface Circumstances {
  readonly audio: AudioOptions;
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/** Converts all, one on each core; says how many failed. */
async function convertAll(
  engine: AudioEngine,
  works: readonly Work[],
  circumstances: Circumstances,
): Promise<number> {
  const bars = new ProgressBars(works.map((work) => work.from));
  const waiting = works.entries();
  let failures = 0;
  const worker = async (): Promise<void> => {
    for (const [index, work] of waiting) {
      try {
        const said = await convertOne(engine, work, circumstances, (share) => {
          bars.update(index, share);
        });
        bars.finish(index, said);
      } catch (error) {
        failures += 1;
        bars.fail(index, asAudiowaveError(error).message);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(works.length, availableParallelism()) }, worker));
  bars.close();
  return failures;
}

async function convertOne(
  engine: AudioEngine,
  work: Work,
  { audio, scratch, signal }: Circumstances,
  onProgress: (share: number) => void,
): Promise<string> {
  const from = work.from === '-' ? await spoolStdin(scratch, signal) : work.from;
  const toStdout = work.to === '-';
  // The header of an MP3 is known last, and standard output can't go back: it gets the finished file.
  const file = await createMp3File(toStdout ? join(scratch, 'stdout.mp3') : work.to, work.overwrite);
  try {
    const title = work.from === '-' ? undefined : basename(work.from, extname(work.from));
    const source = await fileSource(from);
    const result = await engine.convert({
      source,
      sink: file,
      options: audio,
      tags: title === undefined ? {} : { title },
      signal,
      onProgress,
    });
    if (toStdout) await file.copyTo(process.stdout);
    else await file.commit();
    const seconds = (result.durationMs / 1000).toFixed(1);
    const rate = result.bitrateKbps === null ? 'variable' : `${String(result.bitrateKbps)} kbit/s`;
    const cut = result.incomplete ? '; the video broke off, this is its beginning' : '';
    return `${toStdout ? 'standard output' : work.to}: ${seconds} s, ${rate}${cut}`;
  } finally {
    await file.discard();
  }
}

async function spoolStdin(scratch: string, signal: AbortSignal): Promise<string> {
  if (process.stdin.isTTY)
    throw new AudiowaveError('request.malformed', 'Standard input is a terminal; send a video into it.');
  const path = join(scratch, 'stdin');
  await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }), { signal });
  return path;
}
