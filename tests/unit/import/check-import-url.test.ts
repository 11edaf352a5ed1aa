import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/domain/errors.ts';
import { checkImportUrl, MAX_URL_CHARACTERS } from '../../../src/services/gateway/import/check-import-url.ts';

for (const value of [undefined, null, '', '  ', 7, true, {}, ['https://example.com']]) {
  test(`${JSON.stringify([value])} holds no URL at all`, () => {
    assert.throws(
      () => checkImportUrl(value),
      (error: unknown) => hasCode(error, 'import.url-required'),
    );
  });
}

for (const text of [
  'video.mp4',
  '//example.com/video.mp4',
  'example.com/video.mp4',
  'http://',
  'http:///',
  'https://exa mple.com/',
  'http://[::1',
  'http://1.2.3.4.5/',
  'http://256.256.256.256/',
  'ftp://example.com/video.mp4',
  'file:///etc/passwd',
  'data:video/mp4;base64,AAAA',
  'javascript:alert(1)',
  'blob:https://example.com/1',
  'gopher://example.com:25/x',
  'concat:http://example.com/a|http://example.com/b',
  'https://user@example.com/',
  'https://user:secret@example.com/',
  'https://:secret@example.com/',
  `https://example.com/${'x'.repeat(MAX_URL_CHARACTERS)}`,
]) {
  test(`${text.slice(0, 60)} is not fetched from`, () => {
    assert.throws(
      () => checkImportUrl(text),
      (error: unknown) => hasCode(error, 'import.url-not-allowed') && !error.message.includes('secret'),
    );
  });
}

for (const [text, href] of [
  ['https://example.com/video.mp4', 'https://example.com/video.mp4'],
  [' HTTP://EXAMPLE.com:80/a b?c=d#e ', 'http://example.com/a%20b?c=d'],
  ['https://bücher.example/ü', 'https://xn--bcher-kva.example/%C3%BC'],
] as const) {
  test(`${text} is fetched as ${href}`, () => {
    assert.equal(checkImportUrl(text).href, href);
  });
}
