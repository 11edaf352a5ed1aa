import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AudiowaveError } from '../domain/errors.ts';
import type { EncoderProgram } from '../ports/audio-engine.ts';

export interface ProgramSearch {
  /** `auto`: an ffmpeg of this machine where there is one that can make MP3s, otherwise node-av. */
  readonly encoder: 'auto' | 'ffmpeg' | 'node-av';
  /** The ffmpeg to take, and no other. */
  readonly ffmpegPath?: string | undefined;
  /** Folders to look for ffmpeg in, as in PATH. */
  readonly searchPath?: string | undefined;
}

const USUAL_FOLDERS = ['/usr/local/bin', '/usr/bin', '/bin', '/opt/homebrew/bin'].join(delimiter);
const CHECK_TIMEOUT_MS = 20_000;

const found = new Map<string, Promise<EncoderProgram>>();

/**
 * The encoder program to use; looked for once in a process. Throws `audio.encoder-missing`, with the reason for each that
 * was tried in its detail; the next call then looks again, so that whoever installs one need not restart us.
 */
export async function findProgram({
  encoder,
  ffmpegPath,
  searchPath,
}: ProgramSearch): Promise<EncoderProgram> {
  const key = JSON.stringify([encoder, ffmpegPath, searchPath]);
  const known = found.get(key) ?? lookFor({ encoder, ffmpegPath, searchPath });
  found.set(key, known);
  try {
    return await known;
  } catch (error) {
    found.delete(key);
    throw error;
  }
}

async function lookFor(search: ProgramSearch): Promise<EncoderProgram> {
  const reasons: string[] = [];
  const attempt = async (find: () => Promise<EncoderProgram>): Promise<EncoderProgram | undefined> => {
    try {
      return await find();
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  const program =
    (wantsFfmpeg(search) ? await attempt(() => findFfmpeg(search)) : undefined) ??
    (wantsNodeAv(search) ? await attempt(findNodeAv) : undefined);
  if (program !== undefined) return program;
  throw new AudiowaveError('audio.encoder-missing', undefined, { detail: reasons.join('; ') });
}

/** Windows has no path for a descriptor, without which ffmpeg could not seek in what it is handed. */
function wantsFfmpeg(search: ProgramSearch): boolean {
  return search.encoder !== 'node-av' && process.platform !== 'win32';
}

/** Who names an ffmpeg wants that one: a silent substitute would hide the mistake. */
function wantsNodeAv(search: ProgramSearch): boolean {
  return search.encoder === 'node-av' || (search.encoder === 'auto' && search.ffmpegPath === undefined);
}

async function findFfmpeg(search: ProgramSearch): Promise<EncoderProgram> {
  const path = search.ffmpegPath ?? (await lookIn(search.searchPath ?? USUAL_FOLDERS));
  if (path === undefined) throw new Error('there is no ffmpeg in PATH');
  return checkFfmpeg(path);
}

async function lookIn(searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter)) {
    // A relative folder would mean another program in each working directory.
    if (!isAbsolute(folder)) continue;
    const path = join(folder, 'ffmpeg');
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** One start tells both: the encoders on standard output, the version in the banner. */
async function checkFfmpeg(path: string): Promise<EncoderProgram> {
  const { stdout, stderr } = await promisify(execFile)(path, ['-nostdin', '-encoders'], {
    env: {},
    timeout: CHECK_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 4 * 1024 * 1024,
  });
  if (!/^ A\S* libmp3lame /m.test(stdout)) throw new Error(`${path} has no encoder libmp3lame`);
  const version = /^ffmpeg version (\S+)/m.exec(stderr + stdout)?.[1] ?? 'unknown';
  return { kind: 'ffmpeg', version, path };
}

/** node-av is an optional dependency, and so is its part for this platform, which holds the program. */
async function findNodeAv(): Promise<EncoderProgram> {
  const entry = fileURLToPath(import.meta.resolve('node-av'));
  const folder = entry.slice(0, entry.lastIndexOf('node-av') + 'node-av'.length);
  const facts = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version?: string };
  const binary = join(
    dirname(folder),
    '@seydx',
    `node-av-${process.platform}-${process.arch}`,
    'node-av.node',
  );
  await access(binary);
  return { kind: 'node-av', version: facts.version ?? 'unknown', path: undefined };
}
