import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  chooseBitrate,
  legalBitrates,
  outputSampleRate,
  type SourceSound,
} from '../../src/audio/bit-rate.ts';
import { DEFAULT_AUDIO_OPTIONS, type AudioOptions } from '../../src/domain/audio-options.ts';

function source(fields: Partial<SourceSound> = {}): SourceSound {
  return { codec: 'aac', bitrateKbps: null, lossless: false, sampleRateHz: 44100, channels: 2, ...fields };
}

function rate(options: AudioOptions, fields: Partial<SourceSound>): number {
  const choice = chooseBitrate(options, source(fields));
  if (choice.mode !== 'cbr') throw new Error('a constant bit rate was asked for');
  return choice.bitrateKbps;
}

const explicit = (bitrateKbps: number): AudioOptions => ({ mode: 'cbr', bitrateKbps, explicit: true });

test('a source that can fill it gets 192 kbit/s', () => {
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, {}), 192);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { bitrateKbps: 160 }), 192);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { bitrateKbps: 127 }), 192);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'pcm_s16le', bitrateKbps: 1411, lossless: true }), 192);
});

test('the default never exceeds what a lossy source can use', () => {
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'mp3', bitrateKbps: 128 }), 128);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'mp3', bitrateKbps: 129 }), 128);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'aac', bitrateKbps: 96 }), 160);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'opus', bitrateKbps: 64, sampleRateHz: 48000 }), 96);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { codec: 'aac', bitrateKbps: 20 }), 64);
});

test('mono gets at most 128 kbit/s by default', () => {
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { channels: 1, lossless: true }), 128);
});

test('an explicit rate is obeyed up to what the sample rate allows', () => {
  assert.equal(rate(explicit(320), { codec: 'mp3', bitrateKbps: 64, channels: 1 }), 320);
  assert.equal(rate(explicit(320), { sampleRateHz: 22050 }), 160);
  assert.equal(rate(explicit(192), { sampleRateHz: 8000, channels: 1 }), 64);
  assert.equal(rate(explicit(144), {}), 128);
  assert.equal(rate(explicit(8), {}), 32);
});

test('the default stays within 160 kbit/s below 32 kHz and 64 kbit/s below 16 kHz', () => {
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { sampleRateHz: 24000, lossless: true }), 160);
  assert.equal(rate(DEFAULT_AUDIO_OPTIONS, { sampleRateHz: 12000, lossless: true }), 64);
  assert.equal(legalBitrates(8000).at(-1), 64);
});

test('variable quality is passed on, and more than two channels become two', () => {
  assert.deepEqual(chooseBitrate({ mode: 'vbr', quality: 2 }, source({ channels: 6, sampleRateHz: 96000 })), {
    mode: 'vbr',
    quality: 2,
    sampleRateHz: 48000,
    channels: 2,
  });
});

test('the sample rate of the MP3 is the legal one that loses nothing', () => {
  const pairs: [number, number][] = [
    [44100, 44100],
    [96000, 48000],
    [88200, 44100],
    [176400, 44100],
    [192000, 48000],
    [22255, 22050],
    [37800, 44100],
    [7350, 8000],
    [64000, 48000],
  ];
  for (const [from, to] of pairs) assert.equal(outputSampleRate(from), to, `${String(from)} Hz`);
});
