import assert from 'node:assert/strict';
import { test } from 'node:test';
import { id3Tag } from '../../../src/audio/mp3/id3.ts';
import { mp3Tags } from '../../../src/audio/source-tags.ts';

test('a tag is ID3v2.4 in UTF-8, with sizes that hold no high bit', () => {
  const tag = id3Tag({ title: 'Größe 驚き', artist: 'x'.repeat(500) });
  assert.equal(tag.toString('latin1', 0, 3), 'ID3');
  assert.deepEqual([...tag.subarray(3, 6)], [4, 0, 0]);
  assert.ok(tag.subarray(6, 10).every((byte) => byte < 0x80));
  assert.equal(tag.toString('latin1', 10, 14), 'TIT2');
  assert.equal(tag[20], 3);
  assert.equal(tag.toString('utf8', 21, 21 + Buffer.byteLength('Größe 驚き')), 'Größe 驚き');
});

test('no words, no tag', () => {
  assert.equal(id3Tag({}).length, 0);
  assert.equal(id3Tag({ title: ' \n\0 ' }).length, 0);
});

test('control characters, halves of characters and endless texts do not get in', () => {
  const tag = id3Tag({ title: `a\0b\nc\u2028d\ud83d${'e'.repeat(5000)}` });
  const text = tag.toString('utf8', 21);
  assert.match(text, /^a b c d\ufffde+$/);
  assert.ok(text.length <= 1000);
});

test('a source’s own words become tags whatever their letter case, and dates become ISO 8601', () => {
  const found: [string, string][] = [
    ['TITLE', ' A talk '],
    ['DATE', '20210503'],
    ['title', 'second'],
    ['album_artist', 'Ann'],
    ['encoder', 'Lavf'],
    ['genre', ''],
  ];
  assert.deepEqual(mp3Tags(found), { title: 'A talk', date: '2021-05-03', albumArtist: 'Ann' });
  assert.deepEqual(mp3Tags([['date', '2021-05-03 10:20:30Z']]), { date: '2021-05-03T10:20:30' });
  assert.deepEqual(mp3Tags([['date', 'May']]), {});
});
