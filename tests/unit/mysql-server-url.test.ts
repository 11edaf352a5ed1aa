import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseServerUrl } from '../../src/adapters/mysql/server-url.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import { tempFolder } from '../support/temp.ts';

test('a URL names host, port, user, password and database, percent-encoded where needed', () => {
  assert.deepEqual(parseServerUrl('mysql://auth%40user:p%40ss%2Fw%25rd@mysql:3307/auth'), {
    host: 'mysql',
    port: 3307,
    user: 'auth@user',
    password: 'p@ss/w%rd',
    database: 'auth',
    tls: 'off',
    ca: undefined,
    place: 'mysql://mysql:3307/auth',
  });
});

test('the port is 3306 by default, the scheme may be mariadb:, the host an IPv6 address', () => {
  const address = parseServerUrl('mariadb://root@[::1]/auth');
  assert.deepEqual([address.host, address.port, address.password], ['::1', 3306, '']);
  assert.equal(address.place, 'mysql://[::1]:3306/auth');
});

test('TLS is said by the query; an authority means that the certificate is checked', async (t) => {
  const file = join(await tempFolder(t), 'ca.pem');
  await writeFile(file, 'PEM');
  const tlsOf = (query: string): readonly unknown[] => {
    const { tls, ca } = parseServerUrl(`mysql://u:p@host/auth?${query}`);
    return [tls, ca];
  };
  assert.deepEqual(tlsOf('tls=on'), ['on', undefined]);
  assert.deepEqual(tlsOf('tls=unchecked'), ['unchecked', undefined]);
  assert.deepEqual(tlsOf('tls=off'), ['off', undefined]);
  assert.deepEqual(tlsOf(`tls_ca=${encodeURIComponent(file)}`), ['on', 'PEM']);
});

for (const [what, url] of [
  ['no URL', 'hidden'],
  ['another scheme', 'postgres://u:hidden@host/auth'],
  ['no host', 'mysql:///auth?x=hidden'],
  ['no user', 'mysql://:hidden@host/auth'],
  ['no database', 'mysql://u:hidden@host'],
  ['a path for a database', 'mysql://u:hidden@host/a/b'],
  ['a password that is not encoded', 'mysql://u:hid#den@host/auth'],
  ['a broken percent sign', 'mysql://u:hidden%@host/auth'],
  ['an unknown parameter', 'mysql://u:hidden@host/auth?ssl=true'],
  ['an unknown tls', 'mysql://u:hidden@host/auth?tls=maybe'],
  ['an authority without checking', 'mysql://u:hidden@host/auth?tls=unchecked&tls_ca=/x'],
  ['an address to check a certificate for', 'mysql://u:hidden@192.0.2.1/auth?tls=on'],
  ['an authority that is not there', 'mysql://u:hidden@host/auth?tls_ca=/does/not/exist'],
] as const) {
  test(`a URL with ${what} is config.invalid, and the message does not repeat it`, () => {
    assert.throws(
      () => parseServerUrl(url),
      (error: unknown) => {
        assert.ok(error instanceof AudiowaveError);
        assert.equal(error.code, 'config.invalid');
        assert.doesNotMatch(error.message, /hid/);
        return true;
      },
    );
  });
}
