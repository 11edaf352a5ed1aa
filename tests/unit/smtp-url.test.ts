import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseSmtpUrl } from '../../src/adapters/smtp/smtp-url.ts';
import { hasCode } from '../../src/domain/errors.ts';
import { MAIL_AUTHORITY } from '../support/servers/smtp.ts';
import { tempFolder } from '../support/temp.ts';

test('the port is that of submission, or of implicit TLS, unless one is named', () => {
  const ports = ['smtp://h', 'smtps://h', 'smtp://h:25', 'smtps://h:2465/'].map(
    (url) => parseSmtpUrl(url).port,
  );
  assert.deepEqual(ports, [587, 465, 25, 2465]);
});

test('host, user name and password come as they were before they were written into the URL', () => {
  const { host, credentials } = parseSmtpUrl('smtp://ann%40example.com:p%3Aw%2F%40%25@mail.example.com');
  assert.deepEqual(
    [host, credentials],
    ['mail.example.com', { user: 'ann@example.com', password: 'p:w/@%' }],
  );
  assert.equal(parseSmtpUrl('smtp://[::1]:25').host, '::1');
  assert.equal(parseSmtpUrl('smtp://m%C3%BCller.example').host, 'xn--mller-kva.example');
});

test('encryption is taken where it is offered, and required where there are credentials', () => {
  const words = (url: string): unknown[] => {
    const { implicit, startTls, checkCertificate } = parseSmtpUrl(url).protection;
    return [implicit, startTls, checkCertificate];
  };
  assert.deepEqual(words('smtp://h'), [false, 'offered', true]);
  assert.deepEqual(words('smtp://h?tls=on'), [false, 'required', true]);
  assert.deepEqual(words('smtp://h?tls=unchecked'), [false, 'offered', false]);
  assert.deepEqual(words('smtp://h?tls=off'), [false, 'off', true]);
  assert.deepEqual(words('smtp://u:p@h'), [false, 'required', true]);
  assert.deepEqual(words('smtp://u:p@h?tls=unchecked'), [false, 'required', false]);
  assert.deepEqual(words('smtp://u:p@h?tls=off'), [false, 'off', true]);
  assert.deepEqual(words('smtps://u:p@h'), [true, 'required', true]);
});

test('a file of authorities is read, and must be one', async (t) => {
  const other = join(await tempFolder(t), 'ca.pem');
  await writeFile(other, 'no certificate');
  const pem = parseSmtpUrl(`smtp://h?tls_ca=${encodeURIComponent(MAIL_AUTHORITY)}`).protection.authorities;
  assert.match(pem ?? '', /^-----BEGIN CERTIFICATE-----/);
  for (const path of [other, '/no/such/file']) {
    assert.throws(() => parseSmtpUrl(`smtp://h?tls_ca=${path}`), /tls_ca/);
  }
});

test('a malformed URL is config.invalid, and its error shows no secret', () => {
  const urls = [
    'smtp://u:s3cret@',
    'smtp://u:s3cret@h:99999',
    'smtp://u:s3cret@h:x',
    'smtp://u:s3%ZZcret@h',
    'smtp://u:s3cret@h/path',
    'smtp://u:s3cret@h#x',
    'smtp://:s3cret@h',
    'smtp://s3cret@h',
    'smtp://u:s3cret@h?tls=maybe',
    'smtp://u:s3cret@h?password=s3cret',
    'smtps://u:s3cret@h?tls=off',
    'http://u:s3cret@h',
    's3cret',
  ];
  for (const url of urls) {
    assert.throws(
      () => parseSmtpUrl(url),
      (error) => {
        assert.ok(hasCode(error, 'config.invalid'), url);
        assert.ok(
          !JSON.stringify([error.message, error.detail, String(error.cause)]).includes('s3cret'),
          url,
        );
        return true;
      },
    );
  }
});
