import assert from 'node:assert/strict';
import { test } from 'node:test';
import { videoName } from '../../../src/services/gateway/import/video-name.ts';

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

for (const [url, header, expected] of [
  ['https://x.example/a/talk.mp4?sig=1', undefined, 'talk.mp4'],
  ['https://x.example/a%20b/%C3%BCber%20uns.mp4', undefined, 'über uns.mp4'],
  ['https://x.example/a%2F..%2Fb.mp4', undefined, 'b.mp4'],
  ['https://x.example/%zz.mp4', undefined, '%zz.mp4'],
  ['https://x.example/%00%0d%0aevil.mp4', undefined, 'evil.mp4'],
  ['https://x.example/', undefined, null],
  ['https://x.example/videos/', undefined, null],
  ['https://x.example/dl?id=1', 'attachment; filename="my talk.mp4"', 'my talk.mp4'],
  ['https://x.example/dl', 'inline; filename=talk.mkv', 'talk.mkv'],
  ['https://x.example/dl', `attachment; filename="x.mp4"; filename*=UTF-8''%e2%82%ac.mp4`, '€.mp4'],
  ['https://x.example/dl', `attachment; filename*=UTF-8''%e2%82%ac.mp4; filename="x.mp4"`, '€.mp4'],
  ['https://x.example/dl', `attachment; filename*=iso-8859-1''na%EFve.mp4`, 'naïve.mp4'],
  ['https://x.example/dl', latin1('attachment; filename="Zürich ✓.mp4"'), 'Zürich ✓.mp4'],
  ['https://x.example/dl', 'attachment; filename="Z\xfcrich.mp4"', 'Zürich.mp4'],
  ['https://x.example/dl', 'attachment; filename="../../etc/passwd"', 'passwd'],
  ['https://x.example/dl', 'attachment; filename="C:\\\\videos\\\\talk.mp4"', 'talk.mp4'],
  ['https://x.example/talk.mp4', 'attachment; filename=".."', 'talk.mp4'],
  ['https://x.example/talk.mp4', 'attachment', 'talk.mp4'],
  ['https://x.example/talk.mp4', ';;;=', 'talk.mp4'],
  ['https://x.example/talk.mp4', 'attachment; filename="', 'talk.mp4'],
] as const) {
  test(`the name of ${url} with ${JSON.stringify(header)} is ${String(expected)}`, () => {
    const headers = header === undefined ? {} : { 'content-disposition': header };
    assert.equal(videoName(new URL(url), headers), expected);
  });
}

test('a name has at most 255 bytes and keeps its extension', () => {
  const name = videoName(new URL(`https://x.example/${encodeURIComponent('ü'.repeat(500))}.mp4`), {}) ?? '';
  assert.ok(Buffer.byteLength(name) <= 255);
  assert.match(name, /\.mp4$/);
});
