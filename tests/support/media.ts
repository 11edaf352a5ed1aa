import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cook, fingerprint, RECIPES, type MediaName, type Recipe } from './media-recipes.ts';
import { mustRun, runProgram } from './run-program.ts';

export type { MediaName } from './media-recipes.ts';

/** A file of test media, and what its first sound track is as ffmpeg decodes it. */
export interface Media {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Length of the decoded sound; 0 where nothing can be decoded. */
  readonly durationMs: number;
  /** 0 where nothing can be decoded. */
  readonly sampleRateHz: number;
  readonly channels: number;
  /** Tags that were written into it. */
  readonly tags: Readonly<Record<string, string>>;
}

/** Every file that plays, and every file that is broken in one way. */
export const ALL_MEDIA = Object.keys(RECIPES) as MediaName[];

const FOLDER = join(tmpdir(), 'audiowave-media');
const inThisProcess = new Map<string, Promise<Media>>();

/**
 * The file of that name, made on first use and then shared by all test processes of this machine: never write to it.
 * `seconds` makes it longer or shorter than its recipe says.
 */
export async function media(name: MediaName, options: { seconds?: number } = {}): Promise<Media> {
  const recipe: Recipe = RECIPES[name];
  const { seconds } = options;
  if (seconds === undefined || recipe.sound === undefined) return cached(name, recipe, prepare(recipe));
  const longer = { ...recipe, sound: { ...recipe.sound, seconds } };
  return cached(name, longer, prepare(longer));
}

/**
 * A 720p H.264 video of about 2.5 Mbit/s with AAC sound of 160 kbit/s (44.1 kHz stereo), index first: the file of the
 * benchmarks. 10 minutes are made in some 10 s, because the picture repeats itself without being encoded again.
 */
export async function longMedia(seconds: number): Promise<Media> {
  const recipe: Recipe = { file: 'long.mp4', sound: { rateHz: 44_100, layout: 'stereo', seconds } };
  return cached(`long-${String(seconds)}s`, recipe, (path) => cookLong(seconds, path));
}

function prepare(recipe: Recipe): (path: string) => Promise<void> {
  return (path) => cook(recipe, path, async (name) => (await media(name)).path);
}

async function cached(name: string, recipe: Recipe, make: (path: string) => Promise<void>): Promise<Media> {
  const key = `${name}-${fingerprint(recipe)}`;
  const known = inThisProcess.get(key);
  if (known !== undefined) return known;
  const found = (async (): Promise<Media> =>
    (await readBack(name, join(FOLDER, key), recipe)) ?? (await build(name, key, recipe, make)))();
  inThisProcess.set(key, found);
  return found;
}

/** Built beside its place and renamed as a whole: another process sees all of it or nothing. */
async function build(
  name: string,
  key: string,
  recipe: Recipe,
  make: (path: string) => Promise<void>,
): Promise<Media> {
  await mkdir(FOLDER, { recursive: true });
  const building = await mkdtemp(join(FOLDER, 'building-'));
  const place = join(FOLDER, key);
  try {
    await make(join(building, recipe.file));
    const facts = await examine(join(building, recipe.file));
    await writeFile(join(building, 'facts.json'), JSON.stringify(facts));
    // A test that writes to a shared file would break others far away.
    await chmod(join(building, recipe.file), 0o444);
    await rename(building, place).catch(async (error: unknown) => {
      // Another process was faster: its copy is as good.
      if ((await readBack(name, place, recipe)) === undefined) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  const made = await readBack(name, place, recipe);
  if (made === undefined) throw new Error(`Test media ${key} vanished from ${FOLDER} while it was made`);
  return made;
}

type Facts = Pick<Media, 'sizeBytes' | 'durationMs' | 'sampleRateHz' | 'channels'>;

async function readBack(name: string, place: string, recipe: Recipe): Promise<Media | undefined> {
  try {
    const facts = JSON.parse(await readFile(join(place, 'facts.json'), 'utf8')) as Facts;
    return { name, path: join(place, recipe.file), tags: recipe.tags ?? {}, ...facts };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function examine(path: string): Promise<Facts> {
  // One byte a sample keeps the pipe small; the header of the WAVE file tells rate and channels.
  const args = [
    '-v',
    'quiet',
    '-nostdin',
    '-i',
    path,
    '-map',
    '0:a:0',
    '-c:a',
    'pcm_u8',
    '-f',
    'wav',
    '-bitexact',
  ];
  const { stdout } = await runProgram('ffmpeg', [...args, 'pipe:1']);
  const sizeBytes = (await readFile(path)).length;
  const data = stdout.indexOf('data');
  if (data < 36) return { sizeBytes, durationMs: 0, sampleRateHz: 0, channels: 0 };
  const channels = stdout.readUInt16LE(22);
  const sampleRateHz = stdout.readUInt32LE(24);
  const samples = (stdout.length - data - 8) / channels;
  return { sizeBytes, durationMs: (samples / sampleRateHz) * 1000, sampleRateHz, channels };
}

async function cookLong(seconds: number, path: string): Promise<void> {
  const picture = join(path, '..', 'picture.mp4');
  const source = 'testsrc2=s=1280x720:r=25:d=10,noise=alls=12:allf=t';
  const h264 = [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-b:v',
    '2500k',
    '-maxrate',
    '2500k',
    '-bufsize',
    '5000k',
  ];
  await mustRun('ffmpeg', ['-v', 'error', '-nostdin', '-f', 'lavfi', '-i', source, ...h264, picture]);
  // Chords that wander, a voice-like tremolo and noise: about as hard to encode as music.
  const tones = [220, 277.2, 329.6, 440].map(
    (hz, i) => `sin(2*PI*${String(hz)}*t+${String(i + 1)}*sin(${String(0.3 * (i + 1))}*t))`,
  );
  const chord = `0.12*(${tones.join('+')})*(0.6+0.4*sin(2*PI*3.1*t))`;
  const sound =
    `aevalsrc='${chord}|${chord.replaceAll('t+', '1.003*t+')}':s=44100:d=${String(seconds)},asplit=1[c];` +
    `anoisesrc=c=pink:a=0.25:seed=5:r=44100:d=${String(seconds)},tremolo=f=2:d=0.9,aformat=channel_layouts=stereo[n];` +
    '[c][n]amix=inputs=2:normalize=0,aformat=channel_layouts=stereo[a]';
  await mustRun('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-stream_loop', '-1', '-i', picture, '-filter_complex', sound],
    ...['-map', '0:v', '-map', '[a]', '-c:v', 'copy', '-c:a', 'aac', '-b:a', '160k'],
    ...['-t', String(seconds), '-movflags', '+faststart', path],
  ]);
  await rm(picture);
}
