import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFile, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_AUDIO_OPTIONS } from '../../src/domain/audio-options.ts';
import { decode, decodeSource, likeness, readInfoTag } from '../support/decode.ts';
import { longMedia, media, type MediaName } from '../support/media.ts';
import { reportOf, runWorker, startWorker } from '../support/node-av-worker.ts';
import { mustRun, runProgram } from '../support/run-program.ts';
import { tempFolder } from '../support/temp.ts';

const PLAYABLE = [
  ...[
    'mp4-index-first',
    'mp4-index-last',
    'mp4-fragmented',
    'mp4-8khz-mono',
    'mp4-16khz',
    'mp4-51',
    'mp4-tiny',
  ],
  ...['mkv-aac', 'mkv-flac', 'mkv-ac3', 'mkv-two-tracks', 'webm-opus', 'webm-vorbis', 'avi-mp3', 'mov-pcm'],
  ...['ts-aac', 'flv-mp3', 'flv-aac', 'wav', 'wav-48khz-mono', 'mp3', 'flac-96khz', 'm4a-aac', 'ogg-opus'],
] as MediaName[];

/** LAME's delay and the decoder's: where the source's first sample lies in an MP3 without a header that says so. */
const DELAY_SAMPLES = 576 + 529;

/** Decodes bare MP3 frames, which no decoder can trim. */
async function decodeBare(mp3: Uint8Array): Promise<Int16Array> {
  const { stdout } = await runProgram('mpg123', ['-q', '-e', 's16', '-s', '-'], { stdin: mp3 });
  return new Int16Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
}

for (const name of PLAYABLE) {
  test(`the worker makes of ${name} an MP3 of the same sound and length`, async () => {
    const source = await media(name);
    const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS);
    assert.equal(run.exitCode, 0, run.log);
    const done = reportOf(run, 'done');
    const { sampleRateHz, channels, bitrateKbps } = reportOf(run, 'encoding');
    assert.equal(done.truncated, false);
    const durationMs = (done.samples / sampleRateHz) * 1000;
    // The end of AAC is trimmed by the container's word; FFmpeg 8 obeys it, the ffmpeg that measured may not.
    const tolerance = Math.max(50, (1024 / source.sampleRateHz) * 1000);
    assert.ok(Math.abs(durationMs - source.durationMs) <= tolerance, `${String(durationMs)} ms`);
    const found = await readInfoTag(run.mp3);
    assert.equal(found.kind, undefined, 'the header is the work of the engine');
    assert.deepEqual(found.bitratesKbps, [bitrateKbps]);
    const frameSamples = sampleRateHz >= 32_000 ? 1152 : 576;
    assert.ok(found.framesFound * frameSamples >= done.samples + DELAY_SAMPLES);
    const decoded = (await decodeBare(run.mp3)).subarray(DELAY_SAMPLES * channels);
    const original = await decodeSource(source.path, { sampleRateHz, channels });
    assert.ok(likeness(original, decoded) > 0.9, `likeness ${String(likeness(original, decoded))}`);
  });
}

test('the worker encodes sound without loss in front to the very samples of ffmpeg and LAME', async (t) => {
  for (const name of ['wav', 'mkv-flac', 'wav-48khz-mono'] as const) {
    const source = await media(name);
    const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS);
    const { sampleRateHz, bitrateKbps } = reportOf(run, 'encoding');
    assert.equal(reportOf(run, 'done').samples, (source.durationMs * sampleRateHz) / 1000);
    const peer = join(await tempFolder(t), 'peer.mp3');
    const args = ['-b:a', `${String(bitrateKbps)}k`, '-write_xing', '0', '-id3v2_version', '0', peer];
    await mustRun('ffmpeg', ['-v', 'error', '-i', source.path, '-map', '0:a:0', ...args]);
    assert.deepEqual(await decodeBare(run.mp3), await decodeBare(await readFile(peer)), name);
  }
});

test('the worker tells what the source is, with its tags', async () => {
  const source = await media('mp4-index-first');
  const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS);
  const { type, tags, ...facts } = reportOf(run, 'source');
  assert.equal(type, 'source');
  assert.deepEqual(facts, {
    ...{ codec: 'aac', sampleRateHz: 44_100, channels: 2, bitrateKbps: 161 },
    ...{ durationMs: 4000, lossless: false },
  });
  assert.equal(tags.title, source.tags.title);
  assert.equal(tags.artist, source.tags.artist);
  const flac = reportOf(await runWorker((await media('flac-96khz')).path, DEFAULT_AUDIO_OPTIONS), 'source');
  assert.deepEqual([flac.lossless, flac.sampleRateHz, flac.codec], [true, 96_000, 'flac']);
});

test('the worker obeys bit rate and quality', async () => {
  const { path } = await media('wav');
  const explicit = await runWorker(path, { mode: 'cbr', bitrateKbps: 64, explicit: true });
  assert.deepEqual((await readInfoTag(explicit.mp3)).bitratesKbps, [64]);
  const variable = await runWorker(path, { mode: 'vbr', quality: 2 });
  assert.equal(reportOf(variable, 'encoding').bitrateKbps, null);
  assert.ok((await readInfoTag(variable.mp3)).bitratesKbps.length > 2);
});

test('the worker takes the estimated rate only where the container says none', async () => {
  const rates = async (name: MediaName): Promise<unknown[]> => {
    const run = await runWorker((await media(name)).path, {
      ...DEFAULT_AUDIO_OPTIONS,
      sourceBitrateKbps: 40,
    });
    return [reportOf(run, 'source').bitrateKbps, reportOf(run, 'encoding').bitrateKbps];
  };
  assert.deepEqual(await rates('webm-opus'), [40, 64]);
  assert.deepEqual(await rates('mkv-flac'), [40, 192]);
  assert.deepEqual(await rates('mp4-index-first'), [161, 192]);
});

test('the worker takes the first of two sound tracks', async () => {
  const { path } = await media('mkv-two-tracks');
  const { mp3 } = await runWorker(path, DEFAULT_AUDIO_OPTIONS);
  const decoded = (await decodeBare(mp3)).subarray(DELAY_SAMPLES * 2);
  const args = ['-v', 'quiet', '-i', path, '-map', '0:a:1', '-f', 's16le', 'pipe:1'];
  const { stdout } = await runProgram('ffmpeg', args);
  const second = new Int16Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
  assert.ok(likeness(second, decoded) < 0.5);
});

const HOPELESS: readonly (readonly [MediaName, string])[] = [
  ['text-renamed-mp4', 'audio.not-media'],
  ['empty', 'audio.not-media'],
  ['random-bytes', 'audio.not-media'],
  ['hls-playlist', 'audio.not-media'],
  ['concat-script', 'audio.not-media'],
  ['no-sound', 'audio.no-sound'],
  ['truncated-mp4-index-last', 'audio.damaged'],
];
for (const [name, code] of HOPELESS) {
  test(`the worker fails on ${name} with ${code} and no byte of MP3`, async () => {
    const run = await runWorker((await media(name)).path, DEFAULT_AUDIO_OPTIONS);
    assert.equal(run.exitCode, 1);
    assert.equal(run.mp3.length, 0);
    const failed = reportOf(run, 'failed');
    assert.equal(failed.code, code);
    assert.match(failed.message, /^[A-Z][^/]+\.$/);
  });
}

for (const name of [
  'truncated-mp4-index-first',
  'truncated-mkv',
  'truncated-webm',
  'truncated-wav',
] as const) {
  test(`the worker encodes the beginning of ${name} and says that it breaks off`, async () => {
    const source = await media(name);
    const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS);
    assert.equal(run.exitCode, 0);
    const { samples, truncated } = reportOf(run, 'done');
    assert.equal(truncated, true);
    const durationMs = (samples / reportOf(run, 'encoding').sampleRateHz) * 1000;
    assert.ok(Math.abs(durationMs - source.durationMs) <= 50, `${String(durationMs)} ms`);
  });
}

/** Lets a worker lose the processor for a while whenever it sets a timer, as it may on a busy machine. */
const INTERRUPTED = `
const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (...args) => {
  const timer = setTimer(...args);
  for (const end = performance.now() + 5; performance.now() < end;);
  return timer;
};`;

test('the worker says that its source breaks off however busy the machine is', async () => {
  const source = await media('truncated-mp4-index-first');
  const preload = `data:text/javascript,${encodeURIComponent(INTERRUPTED)}`;
  const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS, ['--import', preload]);
  assert.equal(reportOf(run, 'done').truncated, true, run.log);
});

test('the worker passes over packets that cannot be decoded', async (t) => {
  const whole = await readFile((await media('ts-aac')).path);
  // Twenty packets of the transport stream in the middle are overwritten, but for their headers.
  for (let packet = 900; packet < 920; packet++) whole.fill(0xa5, packet * 188 + 12, (packet + 1) * 188);
  const damaged = join(await tempFolder(t), 'damaged.ts');
  await writeFile(damaged, whole);
  const run = await runWorker(damaged, DEFAULT_AUDIO_OPTIONS);
  assert.equal(run.exitCode, 0, run.log);
  assert.ok(reportOf(run, 'done').samples > 3.5 * 48_000);
  assert.deepEqual((await readInfoTag(run.mp3)).bitratesKbps.length, 1);
});

test('the worker follows sound that changes its rate and channels on the way', async (t) => {
  const folder = await tempFolder(t);
  const joined = join(folder, 'joined.ts');
  for (const [rate, channels] of [
    ['48000', '2'],
    ['44100', '1'],
    ['48000', '2'],
  ] as const) {
    const part = join(folder, 'part.ts');
    const sound = ['-f', 'lavfi', '-i', `sine=f=500:r=${rate}:d=2`, '-ac', channels, '-c:a', 'aac'];
    await mustRun('ffmpeg', ['-v', 'error', '-y', ...sound, part]);
    await appendFile(joined, await readFile(part));
  }
  const run = await runWorker(joined, DEFAULT_AUDIO_OPTIONS);
  assert.equal(run.exitCode, 0, run.log);
  const seconds = reportOf(run, 'done').samples / 48_000;
  assert.ok(Math.abs(seconds - 6) < 0.15, `${String(seconds)} s`);
  assert.equal(reportOf(run, 'encoding').channels, 2);
});

test('the worker tells its progress in media time, at most five times a second', async () => {
  const source = await longMedia(120);
  const started = performance.now();
  const run = await runWorker(source.path, DEFAULT_AUDIO_OPTIONS);
  const seconds = (performance.now() - started) / 1000;
  const progress = run.reports.flatMap((report) => (report.type === 'progress' ? [report.mediaMs] : []));
  assert.ok(progress.length >= 2 && progress.length <= seconds * 5 + 1, `${String(progress.length)} reports`);
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  );
  assert.ok((progress.at(-1) ?? 0) > 60_000 && (progress.at(-1) ?? 0) <= 120_100);
});

for (const gone of ['output', 'reports'] as const) {
  test(`the worker ends at once when nobody reads its ${gone} any more`, { timeout: 60_000 }, async () => {
    const worker = startWorker((await longMedia(120)).path, DEFAULT_AUDIO_OPTIONS);
    const closed = once(worker.child, 'exit');
    await once(worker.reports, 'data');
    worker[gone].destroy();
    for (const stream of [worker.output, worker.reports, worker.log]) stream.resume();
    assert.deepEqual(await closed, [2, null]);
  });
}

test('the worker never opens another file, whatever the source says', async (t) => {
  const folder = await tempFolder(t);
  const secret = join(folder, 'secret.wav');
  await copyFile((await media('wav')).path, secret);
  const script = join(folder, 'script.mp4');
  await writeFile(script, `ffconcat version 1.0\nfile '${secret}'\n`);
  const run = await runWorker(script, DEFAULT_AUDIO_OPTIONS);
  assert.deepEqual([run.exitCode, run.mp3.length, reportOf(run, 'failed').code], [1, 0, 'audio.not-media']);
});

test('the worker decodes as two other decoders do once frames have a header', async (t) => {
  // ffmpeg copies the frames into a file of its own, with its own header.
  const folder = await tempFolder(t);
  const { mp3 } = await runWorker((await media('mp4-index-first')).path, DEFAULT_AUDIO_OPTIONS);
  const bare = join(folder, 'bare.mp3');
  const whole = join(folder, 'whole.mp3');
  await writeFile(bare, mp3);
  await mustRun('ffmpeg', ['-v', 'error', '-i', bare, '-c', 'copy', whole]);
  assert.deepEqual((await decode(whole)).warnings, []);
});
