import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inspectContainer, isText, type ContainerFacts } from '../../../src/audio/container.ts';
import { media, type MediaName } from '../../support/media.ts';

function inspect(bytes: Buffer, claimedBytes = bytes.length): Promise<ContainerFacts> {
  return inspectContainer({
    sizeBytes: claimedBytes,
    readAt: (position, length) => Promise.resolve(bytes.subarray(position, position + length)),
  });
}

async function bytesOf(name: MediaName): Promise<Buffer> {
  return readFile((await media(name)).path);
}

const WHOLE: readonly (readonly [MediaName, ContainerFacts['kind'], boolean | undefined])[] = [
  ['mp4-index-first', 'mp4', false],
  ['mp4-index-last', 'mp4', false],
  ['mp4-fragmented', 'mp4', false],
  ['mov-pcm', 'mp4', false],
  ['m4a-aac', 'mp4', false],
  ['wav', 'riff', false],
  ['avi-mp3', 'riff', false],
  ['mkv-aac', 'matroska', false],
  ['webm-opus', 'matroska', false],
  ['flv-aac', 'flv', false],
  ['ts-aac', 'unknown', undefined],
  ['ogg-opus', 'unknown', undefined],
];

for (const [name, kind, truncated] of WHOLE) {
  test(`${name} is ${kind}, and ${truncated === undefined ? 'its structure cannot tell' : 'whole'}`, async () => {
    const facts = await inspect(await bytesOf(name));
    assert.deepEqual([facts.kind, facts.truncated], [kind, truncated]);
  });

  if (truncated === undefined) continue;
  test(`${name} without its last 100 bytes, or its second half, is truncated`, async () => {
    const bytes = await bytesOf(name);
    for (const length of [bytes.length - 100, Math.floor(bytes.length / 2)]) {
      assert.equal((await inspect(bytes.subarray(0, length))).truncated, true, String(length));
    }
  });
}

test('an MP4 that breaks off before its index has none', async () => {
  const bytes = await bytesOf('mp4-index-last');
  assert.equal((await inspect(bytes)).indexMissing, false);
  assert.equal((await inspect(bytes.subarray(0, bytes.length / 2))).indexMissing, true);
  assert.equal((await inspect((await bytesOf('mp4-index-first')).subarray(0, 30_000))).indexMissing, false);
});

test('bytes behind the last box are no sign of a cut', async () => {
  const bytes = Buffer.concat([await bytesOf('mp4-index-last'), Buffer.alloc(100), Buffer.from('junk')]);
  assert.equal((await inspect(bytes)).truncated, false);
});

test('the length of the first sound track is the one of its edit list', async () => {
  assert.equal((await inspect(await bytesOf('mp4-8khz-mono'))).soundSeconds, 4);
  assert.equal((await inspect(await bytesOf('mp4-index-last'))).soundSeconds, 4);
  assert.equal((await inspect(await bytesOf('mp4-fragmented'))).soundSeconds, undefined);
});

test('a container that was written without going back cannot tell', async () => {
  const wave = Buffer.from(await bytesOf('wav'));
  wave.writeUInt32LE(0xffffffff, 4);
  assert.equal((await inspect(wave)).truncated, undefined);
  const ebml = Buffer.from('1a45dfa380' + '18538067' + '01ffffffffffffff', 'hex');
  assert.equal((await inspect(Buffer.concat([ebml, Buffer.alloc(100)]))).truncated, undefined);
});

test('sizes that lead nowhere end the walk', async () => {
  const loop = Buffer.alloc(64);
  loop.writeUInt32BE(8, 0);
  loop.write('ftyp', 4);
  loop.writeUInt32BE(4, 8);
  loop.write('moov', 12);
  assert.equal((await inspect(loop)).truncated, false);
  const huge = Buffer.from(`00000001${Buffer.from('mdat').toString('hex')}7fffffffffffffff`, 'hex');
  assert.equal((await inspect(huge)).truncated, true);
  for (let length = 0; length < 40; length++) await inspect(loop.subarray(0, length), 40);
});

test('text is told from media by its first bytes', async () => {
  assert.equal(isText(Buffer.from('#EXTM3U\nfile:///etc/passwd\n')), true);
  assert.equal(isText(Buffer.from('Grüße, 驚き').subarray(0, -1)), true, 'a character may be cut off');
  assert.equal(isText((await bytesOf('mp4-index-first')).subarray(0, 4096)), false);
  assert.equal(isText((await bytesOf('random-bytes')).subarray(0, 4096)), false);
  assert.equal(isText(Buffer.alloc(0)), false);
});
