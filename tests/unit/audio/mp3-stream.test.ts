import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { crc16 } from '../../../src/audio/mp3/crc16.ts';
import { frameLength, readFrameHeader } from '../../../src/audio/mp3/frame-header.ts';
import { FramePositions } from '../../../src/audio/mp3/frame-positions.ts';
import { BrokenMp3, Mp3Stream } from '../../../src/audio/mp3/mp3-stream.ts';
import { mustRun } from '../../support/run-program.ts';
import { tempFolder } from '../../support/temp.ts';

/** An MP3 of a sine as ffmpeg writes it, with its own Xing frame where `xing` says so. */
async function encode(t: TestContext, args: readonly string[], xing = false): Promise<Buffer> {
  const path = join(await tempFolder(t), 'x.mp3');
  const plain = ['-write_xing', xing ? '1' : '0', '-id3v2_version', '0'];
  await mustRun('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'sine=d=3', ...args, ...plain, path]);
  return readFile(path);
}

function stream(bytes: Buffer, chunkBytes: number, variable = false): Mp3Stream {
  const mp3 = new Mp3Stream({ variable });
  for (let at = 0; at < bytes.length; at += chunkBytes) mp3.push(bytes.subarray(at, at + chunkBytes));
  return mp3;
}

test('a frame header is read as ISO/IEC 11172-3 and 13818-3 say', () => {
  assert.deepEqual(readFrameHeader(0xfffb9064), {
    sampleRateHz: 44100,
    channels: 2,
    bitrateKbps: 128,
    samplesPerFrame: 1152,
    sideInfoBytes: 32,
    lengthBytes: 417,
  });
  assert.equal(readFrameHeader(0xfffb9264)?.lengthBytes, 418, 'the padding slot is one byte');
  const mpeg2 = readFrameHeader(0xfff380c4);
  assert.deepEqual([mpeg2?.sampleRateHz, mpeg2?.channels, mpeg2?.bitrateKbps], [22050, 1, 64]);
  const mpeg25 = readFrameHeader(0xffe388c4);
  assert.deepEqual([mpeg25?.sampleRateHz, mpeg25?.samplesPerFrame, mpeg25?.lengthBytes], [8000, 576, 576]);
});

test('what is no layer III header is none', () => {
  for (const word of [0, 0xfffd9064, 0xffeb9064, 0xfffbf064, 0xfffb0064, 0xfffb9c64, 0x49443304]) {
    assert.equal(readFrameHeader(word), undefined, word.toString(16));
    assert.equal(frameLength(word), 0, word.toString(16));
  }
});

test('the CRC is the one of the LAME tag', () => {
  assert.equal(crc16(Buffer.from('123456789')), 0xbb3d);
  assert.equal(crc16(Buffer.from('6789'), crc16(Buffer.from('12345'))), 0xbb3d);
});

const KINDS: readonly (readonly [string, readonly string[]])[] = [
  ['44.1 kHz stereo, 192k', ['-ac', '2', '-b:a', '192k']],
  ['48 kHz mono, 32k', ['-ar', '48000', '-ac', '1', '-b:a', '32k']],
  ['24 kHz stereo, 8k', ['-ar', '24000', '-ac', '2', '-b:a', '8k']],
  ['8 kHz mono, 8k', ['-ar', '8000', '-ac', '1', '-b:a', '8k']],
];

for (const [name, args] of KINDS) {
  test(`${name}: the same head whatever the chunks, as large as the reserved one`, async (t) => {
    const bytes = await encode(t, args);
    const heads = [1, 7, 1000, bytes.length].map((chunkBytes) => {
      const mp3 = stream(bytes, chunkBytes);
      const reserved = mp3.reserveHead({ title: 'Ü' });
      const final = mp3.finalHead(132_300);
      assert.equal(reserved.length, final.length);
      assert.equal(mp3.totalBytes, bytes.length + final.length);
      return final.toString('hex');
    });
    assert.equal(new Set(heads).size, 1);
  });
}

test('frames, bytes, music CRC and padding are those that ffmpeg’s own header has', async (t) => {
  const args = ['-ac', '2', '-b:a', '128k'];
  const theirs = await encode(t, args, true);
  const theirHead = theirs.subarray(0, readFrameHeader(theirs.readUInt32BE(0))?.lengthBytes);
  const mp3 = stream(theirs.subarray(theirHead.length), 4096);
  mp3.reserveHead({});
  const ourHead = mp3.finalHead(132_300);
  assert.equal(ourHead.length, theirHead.length);
  const tag = 4 + 32;
  const part = (head: Buffer, from: number, to: number): string => head.toString('hex', tag + from, tag + to);
  assert.equal(part(ourHead, 0, 16), part(theirHead, 0, 16), 'Info, flags, frames, bytes');
  assert.equal(part(ourHead, 141, 144), part(theirHead, 141, 144), 'delay and padding');
  assert.equal(part(ourHead, 148, 154), part(theirHead, 148, 154), 'length and CRC of the music');
  assert.equal(crc16(ourHead.subarray(0, tag + 154)), ourHead.readUInt16BE(tag + 154));
  assert.match(ourHead.toString('latin1', tag + 120, tag + 129), /^LAME3\.\d+/);
});

test('the table of contents of a variable bit rate points to the right bytes', async (t) => {
  const bytes = await encode(t, ['-ac', '2', '-af', "volume='if(lt(t,2),0,1)':eval=frame", '-q:a', '0']);
  const mp3 = stream(bytes, 5000, true);
  mp3.reserveHead({});
  const head = mp3.finalHead(undefined);
  const toc = head.subarray(36 + 16, 36 + 116);
  assert.ok(toc.every((entry, i) => i === 0 || entry >= (toc[i - 1] ?? 0)));
  // Two thirds of the time are silence and need far fewer bytes.
  assert.ok((toc[60] ?? 255) < 128, `${String(toc[60])} of 256`);
});

test('frame positions stay within memory and within a frame’s share of the truth', () => {
  const positions = new FramePositions();
  const frames = 100_000;
  for (let i = 0; i < frames; i++) positions.add(i * 417 + (i % 49));
  assert.equal(positions.frames, frames);
  for (const index of [0, 1, 499, 50_000, 77_777, 99_999]) {
    const found = positions.positionOf(index, frames * 417);
    assert.ok(Math.abs(found - index * 417) < 417, `${String(index)}: ${String(found)}`);
  }
});

test('bytes that are no frames, or end in the middle of one, are refused', async (t) => {
  const bytes = await encode(t, []);
  assert.throws(() => stream(Buffer.from('This is no MP3 at all.'), 10), BrokenMp3);
  const damaged = Buffer.from(bytes);
  damaged.fill(0, (readFrameHeader(bytes.readUInt32BE(0))?.lengthBytes ?? 0) * 3);
  assert.throws(() => stream(damaged, 1000), BrokenMp3);
  const short = stream(bytes.subarray(0, -10), 1000);
  short.reserveHead({});
  assert.throws(() => short.finalHead(1000), BrokenMp3);
});
