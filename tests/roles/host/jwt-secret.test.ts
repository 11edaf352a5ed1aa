import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { keptJwtSecret } from '../../../src/host/jwt-secret.ts';
import { tempFolder } from '../../support/temp.ts';

test('of many that make the secret at the same time all get the same, and nothing else is left', async (t) => {
  const folder = join(await tempFolder(t), 'data');
  const secrets = await Promise.all(Array.from({ length: 20 }, () => keptJwtSecret(folder)));
  assert.equal(new Set(secrets).size, 1);
  assert.match(String(secrets[0]), /^[\w-]{43}$/);
  assert.deepEqual(await readdir(folder), ['jwt-secret']);
});

test('the secret stays, and only its owner can read it', async (t) => {
  const folder = await tempFolder(t);
  const secret = await keptJwtSecret(folder);
  assert.equal(await keptJwtSecret(folder), secret);
  assert.equal(await readFile(join(folder, 'jwt-secret'), 'utf8'), secret);
  assert.equal((await stat(join(folder, 'jwt-secret'))).mode & 0o777, 0o600);
});

test('each data folder has a secret of its own', async (t) => {
  assert.notEqual(await keptJwtSecret(await tempFolder(t)), await keptJwtSecret(await tempFolder(t)));
});
