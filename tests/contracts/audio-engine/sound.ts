import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseBitrate } from '../../../src/audio/bit-rate.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../../../src/domain/audio-options.ts';
import type { AudioSink, AudioSource } from '../../../src/ports/audio-engine.ts';
import { decode, decodeSource, likeness, readInfoTag } from '../../support/decode.ts';
import { media, type Media, type MediaName } from '../../support/media.ts';
import { runProgram } from '../../support/run-program.ts';
import { tempFolder } from '../../support/temp.ts';
import { MemorySink, request, save, type Subject } from './subject.ts';

/** What plays, with what is worth trying in it. */
const PLAYABLE: readonly MediaName[] = [
  ...(['mp4-index-first', 'mp4-index-last', 'mp4-fragmented', 'mp4-8khz-mono', 'mp4-16khz'] as const),
  ...(['mp4-51', 'mp4-tiny', 'mkv-aac', 'mkv-flac', 'mkv-ac3', 'mkv-two-tracks', 'webm-opus'] as const),
  ...(['webm-vorbis', 'avi-mp3', 'mov-pcm', 'ts-aac', 'flv-mp3', 'flv-aac', 'wav'] as const),
  ...(['wav-48khz-mono', 'mp3', 'flac-96khz', 'm4a-aac', 'ogg-opus'] as const),
];

/** Length, sound, header, tags, progress: what comes out where all is well. */
export function soundPromises({ promise, open, convert }: Subject): void {
  for (const kind of PLAYABLE) {
    promise(`the MP3 of ${kind} has its sound, its length and a right header`, async (t) => {
      const file = await media(kind);
      const { mp3, result } = await convert(t, file);
      const path = await save(t, mp3);
      const decoded = await decode(path);
      assert.deepEqual(decoded.warnings, []);
      assert.ok(
        Math.abs(decoded.durationMs - trueLengthMs(file)) <= 50,
        `${String(decoded.durationMs)} ms instead of ${String(trueLengthMs(file))}`,
      );
      assert.ok(Math.abs(result.durationMs - decoded.durationMs) <= 1, 'the result tells the MP3’s length');
      assert.equal(result.mp3Bytes, mp3.length);
      assert.equal(result.incomplete, false);
      assert.equal(result.sampleRateHz, decoded.sampleRateHz);
      assert.equal(result.channels, decoded.channels);
      const tag = await readInfoTag(mp3);
      assert.equal(tag.kind, 'Info');
      assert.equal(tag.frames, tag.framesFound);
      assert.equal(tag.bytes, tag.bytesFound);
      assert.deepEqual(tag.bitratesKbps, [result.bitrateKbps]);
      const original = await decodeSource(file.path, decoded);
      assert.ok(likeness(original, decoded.samples) > 0.9, 'the sound is the source’s, at the same place');
    });
  }

  for (const kind of ['wav', 'wav-48khz-mono', 'mov-pcm', 'mkv-flac'] as const) {
    promise(`not a sample is lost or added to the sound of ${kind}`, async (t) => {
      const file = await media(kind);
      const { mp3 } = await convert(t, file);
      const decoded = await decode(await save(t, mp3));
      assert.equal(decoded.durationMs, file.durationMs);
    });
  }

  promise('a variable bit rate has a Xing header with the right frames and bytes', async (t) => {
    const file = await media('wav');
    const { mp3, result } = await convert(t, file, { mode: 'vbr', quality: 2 });
    assert.equal(result.bitrateKbps, null);
    const tag = await readInfoTag(mp3);
    assert.equal(tag.kind, 'Xing');
    assert.ok(tag.bitratesKbps.length > 1);
    assert.deepEqual([tag.frames, tag.bytes], [tag.framesFound, tag.bytesFound]);
    const decoded = await decode(await save(t, mp3));
    assert.deepEqual(decoded.warnings, []);
    assert.equal(decoded.durationMs, file.durationMs);
  });

  promise(
    'an explicit bit rate is obeyed, and one that the sample rate forbids becomes its highest',
    async (t) => {
      const loud = await convert(t, await media('wav'), { mode: 'cbr', bitrateKbps: 320, explicit: true });
      assert.equal(loud.result.bitrateKbps, 320);
      const low = await convert(t, await media('mp4-8khz-mono'), {
        mode: 'cbr',
        bitrateKbps: 320,
        explicit: true,
      });
      assert.equal(low.result.bitrateKbps, 64);
    },
  );

  promise('sound that no container tells the rate of gets no more than it can use', async (t) => {
    const poor = { codec: 'opus', bitrateKbps: 96, lossless: false, sampleRateHz: 48_000, channels: 2 };
    const choice = chooseBitrate(DEFAULT_AUDIO_OPTIONS, poor);
    assert.ok(choice.mode === 'cbr' && choice.bitrateKbps < 192);
    const opus = await media('webm-opus');
    assert.equal((await convert(t, opus)).result.bitrateKbps, choice.bitrateKbps);
    const wanted = await convert(t, opus, { mode: 'cbr', bitrateKbps: 192, explicit: true });
    assert.equal(wanted.result.bitrateKbps, 192, 'what is asked for by name is obeyed');
    assert.equal((await convert(t, opus, { mode: 'vbr', quality: 4 })).result.bitrateKbps, null);
    assert.equal((await convert(t, await media('mkv-aac'))).result.bitrateKbps, 192);
    assert.equal((await convert(t, await media('mkv-flac'))).result.bitrateKbps, 192, 'nothing limits FLAC');
  });

  promise(
    'tags come from the source, and the title from the file’s name where the source has none',
    async (t) => {
      const tagged = await media('mp4-index-first');
      const told = await readTags(await save(t, (await convert(t, tagged)).mp3));
      assert.deepEqual({ ...told, encoder: undefined }, { ...tagged.tags, encoder: undefined });
      const nameless = await media('webm-opus');
      const sink = new MemorySink();
      const engine = await open(t);
      await engine.convert(request(nameless, sink, { tags: { title: 'Überraschung – 驚き' } }));
      assert.equal((await readTags(await save(t, sink.bytes))).title, 'Überraschung – 驚き');
    },
  );

  promise('progress rises from media time and ends at 1', async (t) => {
    const file = await media('mkv-flac', { seconds: 30 });
    const shares: number[] = [];
    const engine = await open(t);
    await engine.convert(request(file, new MemorySink(), { onProgress: (share) => shares.push(share) }));
    assert.ok(shares.length > 0 && shares.every((share) => share >= 0 && share <= 1));
    assert.deepEqual(
      shares,
      [...new Set(shares)].sort((a, b) => a - b),
    );
    assert.equal(shares.at(-1), 1);
  });

  promise(
    'a source that is no file of this machine gives the same MP3, and its copy does not stay',
    async (t) => {
      const file = await media('mp4-index-last');
      const scratchFolder = join(await tempFolder(t), 'scratch');
      const sink = new MemorySink();
      const source: AudioSource = {
        sizeBytes: file.sizeBytes,
        read: (range = { start: 0 }) => createReadStream(file.path, range),
      };
      await (await open(t, { scratchFolder })).convert(request(file, sink, { source }));
      assert.deepEqual(sink.bytes, (await convert(t, file)).mp3);
      assert.deepEqual(await readdir(scratchFolder), []);
    },
  );

  promise('a sink that cannot go back gets an MP3 that plays', async (t) => {
    const file = await media('mp4-index-first');
    const chunks: Uint8Array[] = [];
    const sink: AudioSink = {
      write: (chunk) => {
        chunks.push(chunk);
        return Promise.resolve();
      },
    };
    const result = await (await open(t)).convert(request(file, sink));
    const mp3 = Buffer.concat(chunks);
    assert.equal(mp3.length, result.mp3Bytes);
    const played = await runProgram('mpg123', ['-e', 's16', '-s', await save(t, mp3)]);
    assert.equal(played.exitCode, 0);
    const seconds = played.stdout.length / 2 / result.channels / result.sampleRateHz;
    assert.ok(Math.abs(seconds * 1000 - result.durationMs) < 100, `${String(seconds)} s`);
  });

  promise('conversions at once each get their own sound', async (t) => {
    const engine = await open(t);
    const kinds = ['wav', 'mp4-8khz-mono', 'mkv-flac', 'mov-pcm'] as const;
    const results = await Promise.all(
      kinds.map(async (kind) => {
        const file = await media(kind);
        const sink = new MemorySink();
        const result = await engine.convert(request(file, sink));
        return { file, result };
      }),
    );
    for (const { file, result } of results) assert.ok(Math.abs(result.durationMs - trueLengthMs(file)) <= 50);
  });

  promise('it says which program it runs', async (t) => {
    const program = await (await open(t)).program();
    assert.match(program.version, /\d/);
  });
}

/** Tags as ffprobe reads them. */
async function readTags(path: string): Promise<Record<string, string>> {
  await mkdir(join(path, '..'), { recursive: true });
  const args = ['-v', 'error', '-of', 'json', '-show_entries', 'format_tags', path];
  const { stdout } = await runProgram('ffprobe', args);
  return (JSON.parse(stdout.toString()) as { format: { tags?: Record<string, string> } }).format.tags ?? {};
}

/** An older ffmpeg, which the fixtures are measured with, also decodes what fills up the last frame of 128 ms. */
function trueLengthMs(file: Media): number {
  return file.name === 'mp4-8khz-mono' ? 4000 : file.durationMs;
}
