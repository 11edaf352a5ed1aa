import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { audiowave } from '../support/program.ts';
import { startMariaDb, type MariaDb } from '../support/servers/mariadb.ts';
import { tempFolder } from '../support/temp.ts';

suite('accounts on a MySQL server, by the names of the family', () => {
  let server: MariaDb;
  before(async () => {
    server = await startMariaDb();
  });
  after(() => server.stop());

  test('user add, list and remove, and doctor; wrong credentials are one line without the password', async (t) => {
    const { hostname, port, username, password, pathname } = new URL(server.url);
    const settings = {
      AUDIOWAVE_DATA: await tempFolder(t),
      MYSQL_HOST: hostname,
      MYSQL_PORT: port,
      MYSQL_USER: decodeURIComponent(username),
      MYSQL_PASSWORD: decodeURIComponent(password),
      MYSQL_DB: pathname.slice(1),
      JWT_SECRET: 'sarcasm',
    };
    const place = `mysql://${hostname}:${port}${pathname}`;
    const added = await audiowave(['user', 'add', 'ann@example.com', '--password-stdin'], {
      settings,
      stdin: 'long enough',
    });
    assert.deepEqual([added.code, added.stderr], [0, `Added ann@example.com (user) in ${place}.\n`]);
    const listed = await audiowave(['user', 'list'], { settings });
    assert.match(listed.stdout.toString(), /^ann@example\.com\tuser\n/m);
    const doctor = await audiowave(['doctor', 'auth'], { settings });
    assert.equal(doctor.code, 0, doctor.stdout.toString());
    assert.ok(doctor.stdout.toString().includes(`✓ Accounts: ${place} answers\n`));
    const wrong = await audiowave(['user', 'list'], {
      settings: { ...settings, MYSQL_PASSWORD: 'hunter22' },
    });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /Access denied/);
    assert.doesNotMatch(wrong.stderr, /hunter22/);
    const removed = await audiowave(['user', 'remove', 'ann@example.com'], { settings });
    assert.equal(removed.code, 0);
  });
});
