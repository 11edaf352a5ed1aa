import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { estimateSoundKbps } from '../../../src/audio/matroska.ts';
import type { ByteReader } from '../../../src/audio/source-file.ts';
import { longMedia, media, type MediaName } from '../../support/media.ts';
import { seededRandom } from '../../support/random.ts';
import { mustRun } from '../../support/run-program.ts';
import { tempFolder } from '../../support/temp.ts';

const MIB = 1024 * 1024;

/** Bytes as a file, and how much of it has been read. */
class Counted implements ByteReader {
  readBytes = 0;
  reads = 0;
  readonly sizeBytes: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  readAt(position: number, length: number): Promise<Buffer> {
    assert.ok(Number.isSafeInteger(position) && position >= 0 && length >= 0, 'reads are in the file');
    const found = this.#bytes.subarray(position, position + length);
    this.reads += 1;
    this.readBytes += found.length;
    return Promise.resolve(found);
  }
}

function estimate(bytes: Buffer): Promise<number | undefined> {
  return estimateSoundKbps(new Counted(bytes), new AbortController().signal);
}

async function bytesOf(name: MediaName): Promise<Buffer> {
  return readFile((await media(name)).path);
}

/** The packets of the first sound track, copied out of the file, over the length of the sound. */
async function trueKbps(path: string, seconds: number): Promise<number> {
  const copy = ['-map', '0:a:0', '-c', 'copy', '-f', 'data', 'pipe:1'];
  const { stdout } = await mustRun('ffmpeg', ['-v', 'error', '-nostdin', '-i', path, ...copy]);
  return (stdout.length * 8) / seconds / 1000;
}

function assertNear(actual: number | undefined, expected: number, share = 0.04): void {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= expected * share,
    `${String(actual)} kbit/s instead of ${String(expected)}`,
  );
}

/** Another container for the same packets. */
async function remux(t: TestContext, path: string, ...options: string[]): Promise<string> {
  const made = join(await tempFolder(t), 'made.mkv');
  await mustRun('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-i', path, '-map', '0', '-c', 'copy', ...options],
    ...['-f', 'matroska', made],
  ]);
  return made;
}

for (const name of ['mkv-aac', 'mkv-ac3', 'mkv-two-tracks', 'webm-opus', 'webm-vorbis'] as const) {
  test(`the rate of ${name} is the one of its packets`, async () => {
    const { path, durationMs } = await media(name);
    assertNear(await estimate(await bytesOf(name)), await trueKbps(path, durationMs / 1000));
  });
}

for (const [what, ...options] of [
  ['clusters of unknown size', '-live', '1'],
  ['many short clusters', '-cluster_time_limit', '300'],
  ['clusters of a few kilobytes', '-cluster_size_limit', '4000'],
] as const) {
  test(`the rate is found in ${what}`, async (t) => {
    for (const name of ['mkv-aac', 'webm-opus'] as const) {
      const { path, durationMs } = await media(name);
      const made = await remux(t, path, ...options);
      assertNear(await estimate(await readFile(made)), await trueKbps(path, durationMs / 1000));
    }
  });
}

test('of a long film a part is read, and it gives the rate of the whole', async (t) => {
  const { path, durationMs } = await longMedia(120);
  const truth = await trueKbps(path, durationMs / 1000);
  for (const options of [[], ['-live', '1']]) {
    const made = await remux(t, path, ...options);
    const file = new Counted(await readFile(made));
    assertNear(await estimateSoundKbps(file, new AbortController().signal), truth);
    assert.ok(file.readBytes < 0.8 * (await stat(made)).size, `${String(file.readBytes)} bytes read`);
    assert.ok(file.reads < 600, `${String(file.reads)} reads`);
  }
});

test('a quiet beginning does not lower the rate', async (t) => {
  const path = join(await tempFolder(t), 'quiet.mkv');
  const sound = "anoisesrc=c=pink:a=0.5:r=48000:d=20,volume='gt(t\\,14)':eval=frame";
  const encoding = ['-c:v', 'mpeg4', '-c:a', 'libopus', '-b:a', '96k'];
  const picture = 'testsrc2=s=160x90:r=10:d=20';
  await mustRun('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-f', 'lavfi', '-i', picture, '-f', 'lavfi', '-i', sound],
    ...[...encoding, path],
  ]);
  const found = (await estimate(await readFile(path))) ?? 0;
  assert.ok(found > 2 * (await trueKbps(path, 20)), `${String(found)} kbit/s`);
});

/** An element with a size of eight bytes. */
function element(id: string, ...content: (Buffer | string)[]): Buffer {
  const data = Buffer.concat(
    content.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)),
  );
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE((1n << 56n) | BigInt(data.length));
  return Buffer.concat([Buffer.from(id, 'hex'), size, data]);
}

const EBML = element('1a45dfa3');
const INFO = element('1549a966', element('2ad7b1', '0f4240'));
const PICTURE_ENTRY = element('ae', element('d7', '01'), element('83', '01'));
const SOUND_ENTRY = element('ae', element('d7', '02'), element('83', '02'));
const TRACKS = element('1654ae6b', PICTURE_ENTRY, SOUND_ENTRY);

function ticks(count: number, bytes: 2 | 4): Buffer {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 2) buffer.writeInt16BE(count);
  else buffer.writeUInt32BE(count);
  return buffer;
}

/** Header of a block of the sound track, and `payloadBytes` of sound. */
function blockBytes(relative: number, flags: string, payloadBytes: number): Buffer {
  return Buffer.concat([
    ...[
      Buffer.from('82', 'hex'),
      ticks(relative, 2),
      Buffer.from(flags, 'hex'),
      Buffer.alloc(payloadBytes, 0x55),
    ],
  ]);
}

/** One second: blocks of 100 ms, their times relative to the middle of the Cluster. */
function cluster(second: number, block: (relative: number) => Buffer): Buffer {
  const blocks = Array.from({ length: 10 }, (_, index) => block(index * 100 - 500));
  return element('1f43b675', element('e7', ticks(second * 1000 + 500, 4)), ...blocks);
}

function film(seconds: number, block: (relative: number) => Buffer, head: Buffer[] = [INFO, TRACKS]): Buffer {
  const clusters = Array.from({ length: seconds }, (_, second) => cluster(second, block));
  return Buffer.concat([EBML, element('18538067', ...head, ...clusters)]);
}

const simple = (relative: number): Buffer => element('a3', blockBytes(relative, '80', 1000));

test('simple blocks, block groups and laces all count', async () => {
  assert.equal(await estimate(film(6, simple)), 80);
  const grouped = (at: number): Buffer =>
    element('a0', element('a1', blockBytes(at, '00', 1000)), element('9b', '64'));
  assert.equal(await estimate(film(6, grouped)), 80);
  // Its first byte of payload says that there are two frames.
  const laced = (at: number): Buffer => element('a3', blockBytes(at, '04', 1001));
  assert.equal(await estimate(film(6, laced)), 80);
});

test('the time scale of the file counts', async () => {
  const slow = element('1549a966', element('2ad7b1', '1e8480'));
  assert.equal(await estimate(film(6, simple, [slow, TRACKS])), 40);
  assert.equal(
    await estimate(film(6, simple, [TRACKS])),
    80,
    'a tick is a millisecond where nothing else is said',
  );
  const frozen = element('1549a966', element('2ad7b1', '00'));
  assert.equal(await estimate(film(6, simple, [frozen, TRACKS])), undefined);
});

test('bytes of a picture that look like a Cluster are no Cluster', async () => {
  const picture = Buffer.concat([Buffer.from('81000080', 'hex'), Buffer.alloc(300_000)]);
  for (let at = 100; at < picture.length - 20; at += 1000) picture.write('1f43b675ff', at, 'hex');
  const both = (at: number): Buffer => Buffer.concat([element('a3', picture), simple(at)]);
  assert.equal(await estimate(film(15, both)), 80);
});

test('nothing is said of less than 2 s, of no sound track, of another container, or when nobody wants it', async () => {
  assert.equal(await estimate(film(2, simple)), undefined);
  assert.equal(await estimate(film(6, simple, [INFO, element('1654ae6b', PICTURE_ENTRY)])), undefined);
  assert.equal(await estimate(film(6, simple, [INFO])), undefined);
  const other = new Counted(await bytesOf('mp4-index-first'));
  assert.equal(await estimateSoundKbps(other, new AbortController().signal), undefined);
  assert.equal(other.reads, 1);
  assert.equal(await estimateSoundKbps(new Counted(film(6, simple)), AbortSignal.abort()), undefined);
});

test('a file that breaks off anywhere gives the rate of what is there, or none', async () => {
  const whole = await bytesOf('mkv-aac');
  const truth = (await estimate(whole)) ?? 0;
  assertNear(await estimate(whole.subarray(0, whole.length * 0.7)), truth);
  for (let length = 0; length < whole.length; length += length < 1500 ? 1 : 9973) {
    const found = await estimate(whole.subarray(0, length));
    if (found !== undefined) assertNear(found, truth, 0.15);
  }
});

const HUGE = '01fffffffffffffe';
const HOSTILE: readonly (readonly [string, Buffer])[] = [
  ['a head of 2^56 bytes', Buffer.from(`1a45dfa3${HUGE}`, 'hex')],
  [
    'tracks of 2^56 bytes',
    Buffer.concat([EBML, Buffer.from(`18538067${HUGE}1654ae6b${HUGE}ae${HUGE}d7${HUGE}`, 'hex')]),
  ],
  [
    'tracks of unknown size',
    Buffer.concat([EBML, Buffer.from('18538067ff1654ae6bffae81d7', 'hex'), Buffer.alloc(999)]),
  ],
  [
    'a million empty elements for a head',
    Buffer.concat([EBML, element('18538067', Buffer.alloc(2_000_000, 'ec80', 'hex'))]),
  ],
  ['blocks that are shorter than their headers', film(9, () => Buffer.from('a3818200', 'hex'))],
  ['blocks of 2^56 bytes', film(9, () => Buffer.from(`a3${HUGE}82000080`, 'hex'))],
  ['blocks of unknown size', film(9, () => Buffer.from('a3ff82000080', 'hex'))],
  ['groups in groups', film(9, () => Buffer.alloc(20_000, 'a081', 'hex'))],
  [
    'a time of nine bytes',
    Buffer.concat([EBML, element('18538067', TRACKS, element('1f43b675', 'e789ffffffffffffffffff'))]),
  ],
  [
    'clusters in clusters',
    Buffer.concat([EBML, element('18538067', TRACKS, Buffer.alloc(12 * MIB, '1f43b675ffe78101a380', 'hex'))]),
  ],
  [
    'beginnings of clusters only',
    Buffer.concat([EBML, element('18538067', TRACKS, Buffer.alloc(12 * MIB, '1f43b675', 'hex'))]),
  ],
];
for (const [what, bytes] of HOSTILE) {
  test(`${what}: no rate, and soon`, async () => {
    const file = new Counted(bytes);
    assert.equal(await estimateSoundKbps(file, new AbortController().signal), undefined);
    assert.ok(file.reads < 2000 && file.readBytes < 64 * MIB, `${String(file.reads)} reads`);
  });
}

test('no damage makes it throw, or read without end', async () => {
  const random = seededRandom(9559);
  const originals = [await bytesOf('mkv-aac'), await bytesOf('webm-vorbis'), film(30, simple)];
  for (let round = 0; round < 600; round++) {
    const bytes = Buffer.from(originals[round % originals.length] ?? Buffer.alloc(0));
    const reach = random() < 0.5 ? 1000 : bytes.length;
    for (let count = 1 + random() * 20; count > 0; count--) {
      bytes[Math.floor(random() * reach)] = random() < 0.3 ? 0xff : Math.floor(random() * 256);
    }
    const file = new Counted(bytes);
    const found = await estimateSoundKbps(file, new AbortController().signal);
    assert.ok(found === undefined || (Number.isInteger(found) && found > 0), String(found));
    assert.ok(file.readBytes < 8 * MIB && file.reads < 2000, `round ${String(round)}`);
  }
});
