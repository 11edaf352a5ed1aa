import { createHash } from 'node:crypto';
import { mustRun } from './run-program.ts';
import { readFile, writeFile } from 'node:fs/promises';

/** How one file of test media is made. Everything here goes into the name of its cached copy. */
export interface Recipe {
  /** Name of the file in its folder. */
  readonly file: string;
  /** Sampling rate, channels (an ffmpeg layout) and length of the sound that is made; absent where there is none. */
  readonly sound?: { readonly rateHz: number; readonly layout: string; readonly seconds: number };
  /** Number of sound tracks; the second has other sound and another length. */
  readonly tracks?: 1 | 2;
  /** Encoder options, with -map done already. */
  readonly options?: readonly string[];
  readonly picture?: boolean;
  readonly tags?: Readonly<Record<string, string>>;
  /** Cut another recipe's file off after this share of its bytes. */
  readonly cut?: { readonly of: string; readonly share: number };
  readonly text?: string;
  /** That many bytes that mean nothing, always the same ones. */
  readonly noiseBytes?: number;
}

const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '15', '-pix_fmt', 'yuv420p'];
const VP8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '200k'];
const MPEG4 = ['-c:v', 'mpeg4', '-b:v', '300k'];
const FLV1 = ['-c:v', 'flv1', '-b:v', '300k'];
const CD = { rateHz: 44_100, layout: 'stereo', seconds: 4 };
const STUDIO = { rateHz: 48_000, layout: 'stereo', seconds: 4 };
const TAGS = { title: 'Sweep & Rauschen über Wasser', artist: 'Test Ensemble', album: 'Fixtures' };

function video(file: string, sound: Recipe['sound'] & object, ...options: string[]): Recipe {
  return { file, sound, options, picture: true };
}

function soundOnly(file: string, sound: Recipe['sound'] & object, ...options: string[]): Recipe {
  return { file, sound, options };
}

export const RECIPES = {
  'mp4-index-first': {
    ...video('first.mp4', CD, ...H264, '-c:a', 'aac', '-b:a', '160k', '-movflags', '+faststart'),
    tags: TAGS,
  },
  'mp4-index-last': video('last.mp4', CD, ...H264, '-c:a', 'aac', '-b:a', '160k'),
  'mp4-fragmented': video(
    'fragmented.mp4',
    CD,
    ...[...H264, '-c:a', 'aac', '-b:a', '160k', '-movflags', '+frag_keyframe+empty_moov+default_base_moof'],
  ),
  'mp4-8khz-mono': video(
    'phone.mp4',
    { rateHz: 8000, layout: 'mono', seconds: 4 },
    ...[...H264, '-c:a', 'aac', '-b:a', '24k'],
  ),
  'mp4-16khz': video(
    'voice.mp4',
    { rateHz: 16_000, layout: 'stereo', seconds: 4 },
    ...[...H264, '-c:a', 'aac', '-b:a', '64k'],
  ),
  'mp4-51': video('surround.mp4', { ...STUDIO, layout: '5.1' }, ...[...H264, '-c:a', 'aac', '-b:a', '320k']),
  'mp4-tiny': video('tiny.mp4', { ...CD, seconds: 0.2 }, ...H264, '-c:a', 'aac', '-b:a', '128k'),
  'mkv-aac': video('talk.mkv', STUDIO, ...H264, '-c:a', 'aac', '-b:a', '160k'),
  'mkv-flac': { ...video('lossless.mkv', STUDIO, ...H264, '-c:a', 'flac'), tags: TAGS },
  'mkv-ac3': video('cinema.mkv', { ...STUDIO, layout: '5.1' }, ...H264, '-c:a', 'ac3', '-b:a', '384k'),
  'mkv-two-tracks': { ...video('two.mkv', STUDIO, ...H264, '-c:a', 'aac', '-b:a', '128k'), tracks: 2 },
  'webm-opus': video('clip.webm', STUDIO, ...VP8, '-c:a', 'libopus', '-b:a', '96k', '-vbr', 'off'),
  'webm-vorbis': video('old.webm', CD, ...VP8, '-c:a', 'libvorbis', '-b:a', '128k'),
  'avi-mp3': video('film.avi', CD, ...MPEG4, '-c:a', 'libmp3lame', '-b:a', '192k'),
  'mov-pcm': video('camera.mov', STUDIO, ...H264, '-c:a', 'pcm_s16le'),
  'ts-aac': video('broadcast.ts', STUDIO, ...H264, '-c:a', 'aac', '-b:a', '160k'),
  'flv-mp3': video('flash.flv', CD, ...FLV1, '-c:a', 'libmp3lame', '-b:a', '128k'),
  'flv-aac': video('stream.flv', CD, ...H264, '-c:a', 'aac', '-b:a', '128k'),
  wav: soundOnly('sound.wav', CD, '-c:a', 'pcm_s16le'),
  'wav-48khz-mono': soundOnly('mono.wav', { ...STUDIO, layout: 'mono' }, '-c:a', 'pcm_s16le'),
  mp3: { ...soundOnly('sound.mp3', CD, '-c:a', 'libmp3lame', '-b:a', '128k'), tags: TAGS },
  'flac-96khz': soundOnly('high.flac', { ...STUDIO, rateHz: 96_000 }, '-c:a', 'flac', '-sample_fmt', 's32'),
  'm4a-aac': { ...soundOnly('song.m4a', CD, '-c:a', 'aac', '-b:a', '160k'), tags: TAGS },
  'ogg-opus': soundOnly('note.ogg', STUDIO, '-c:a', 'libopus', '-b:a', '64k'),

  'text-renamed-mp4': { file: 'letter.mp4', text: 'This is a letter, not a video.\n'.repeat(400) },
  'no-sound': { file: 'silent.mp4', options: H264, picture: true },
  empty: { file: 'empty.mp4', text: '' },
  'random-bytes': { file: 'random.mp4', noiseBytes: 300_000 },
  'truncated-mp4-index-first': { file: 'cut-first.mp4', cut: { of: 'mp4-index-first', share: 0.5 } },
  'truncated-mp4-index-last': { file: 'cut-last.mp4', cut: { of: 'mp4-index-last', share: 0.5 } },
  'truncated-mkv': { file: 'cut.mkv', cut: { of: 'mkv-aac', share: 0.5 } },
  'truncated-webm': { file: 'cut.webm', cut: { of: 'webm-opus', share: 0.5 } },
  'truncated-avi': { file: 'cut.avi', cut: { of: 'avi-mp3', share: 0.5 } },
  'truncated-wav': { file: 'cut.wav', cut: { of: 'wav', share: 0.5 } },
  'hls-playlist': {
    file: 'playlist.mp4',
    text: [
      ...['#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-TARGETDURATION:4', '#EXT-X-MEDIA-SEQUENCE:0'],
      ...[
        '#EXTINF:4.0,',
        'file:///etc/passwd',
        '#EXTINF:4.0,',
        'http://127.0.0.1:9/secret.ts',
        '#EXT-X-ENDLIST',
        '',
      ],
    ].join('\n'),
  },
  'concat-script': {
    file: 'script.mp4',
    text: "ffconcat version 1.0\nfile '/etc/passwd'\nfile 'http://127.0.0.1:9/secret.mp4'\n",
  },
} as const satisfies Record<string, Recipe>;

export type MediaName = keyof typeof RECIPES;

/** Names the recipe by what is in it, so that a changed recipe is made anew and an old copy is never taken for it. */
export function fingerprint(recipe: Recipe): string {
  return createHash('sha256')
    .update(JSON.stringify([GENERATION, recipe]))
    .digest('hex')
    .slice(0, 16);
}

/** Raise it when the code below makes something else from the same recipe. */
const GENERATION = 1;

/**
 * An ffmpeg graph of sound that no two moments of look alike: a rising sweep on the left, a falling one on the right,
 * and a burst of pink noise at each full second. `variant` 2 is other sound.
 */
function soundGraph(sound: Recipe['sound'] & object, variant: 1 | 2): string {
  const { rateHz, seconds } = sound;
  const top = Math.min(3000, rateHz * 0.3);
  const slope = top / 2 / Math.max(seconds, 0.001);
  const rising = `0.35*sin(2*PI*(${String(150 * variant)}*t+${String(slope / 2)}*t*t))`;
  const falling = `0.35*sin(2*PI*(${String(top)}*t-${String(slope / variant)}*t*t))`;
  const length = variant === 1 ? seconds : seconds - 1;
  const source = `s=${String(rateHz)}:d=${String(length)}`;
  const noise = `anoisesrc=c=pink:a=0.6:seed=${String(variant)}:r=${String(rateHz)}:d=${String(length)}`;
  const v = String(variant);
  return [
    `aevalsrc='${rising}|${falling}':${source}[sweep${v}]`,
    `${noise},volume='lt(mod(t\\,1)\\,0.2)':eval=frame,aformat=channel_layouts=stereo[noise${v}]`,
    `[sweep${v}][noise${v}]amix=inputs=2:normalize=0,aformat=channel_layouts=${sound.layout}[a${v}]`,
  ].join(';');
}

function ffmpegArguments(recipe: Recipe, path: string): string[] {
  const { sound } = recipe;
  const seconds = sound?.seconds ?? 3;
  const tracks = sound === undefined ? [] : recipe.tracks === 2 ? ([1, 2] as const) : ([1] as const);
  const graph = sound === undefined ? [] : tracks.map((track) => soundGraph(sound, track));
  const picture = `testsrc2=s=320x180:r=15:d=${String(seconds)}`;
  return [
    ...['-v', 'error', '-nostdin', '-y'],
    ...(recipe.picture === true ? ['-f', 'lavfi', '-i', picture] : []),
    ...(graph.length > 0 ? ['-filter_complex', graph.join(';')] : []),
    ...(recipe.picture === true ? ['-map', '0:v'] : []),
    ...tracks.flatMap((track) => ['-map', `[a${String(track)}]`]),
    ...Object.entries(recipe.tags ?? {}).flatMap(([key, value]) => ['-metadata', `${key}=${value}`]),
    ...(recipe.options ?? []),
    path,
  ];
}

/** Makes the file of `recipe` at `path`. `original` gives the path of another recipe's file. */
export async function cook(
  recipe: Recipe,
  path: string,
  original: (name: MediaName) => Promise<string>,
): Promise<void> {
  if (recipe.text !== undefined) return writeFile(path, recipe.text);
  if (recipe.noiseBytes !== undefined) return writeFile(path, meaninglessBytes(recipe.noiseBytes));
  if (recipe.cut !== undefined) {
    const whole = await readFile(await original(recipe.cut.of as MediaName));
    return writeFile(path, whole.subarray(0, Math.floor(whole.length * recipe.cut.share)));
  }
  await mustRun('ffmpeg', ffmpegArguments(recipe, path));
  if ((await readFile(path)).length === 0) throw new Error(`ffmpeg wrote nothing to ${path}`);
}

function meaninglessBytes(count: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(count / 32) }, (_, index) =>
    createHash('sha256')
      .update(`audiowave ${String(index)}`)
      .digest(),
  );
  return Buffer.concat(blocks).subarray(0, count);
}
