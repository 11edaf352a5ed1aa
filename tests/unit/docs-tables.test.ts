import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileOf, PAGES, withTables } from '../../scripts/docs.ts';
import { FAMILY } from '../../src/config/family.ts';
import { SETTINGS, type Setting } from '../../src/config/settings.ts';
import { ERRORS } from '../../src/domain/errors.ts';

for (const [page, made] of Object.entries(PAGES)) {
  test(`the tables of ${page} say what the code says (else: npm run docs)`, async () => {
    const text = await readFile(fileOf(page), 'utf8');
    const [lines, should] = [text, withTables(text, made())].map((whole) => whole.split('\n'));
    // Line by line, so that a failure shows the row and not the page.
    should?.forEach((line, index) => {
      assert.equal(lines?.[index], line);
    });
    assert.equal(lines?.length, should?.length);
  });
}

test('every setting and every error code has its row', async () => {
  const settings: readonly Setting<unknown>[] = Object.values(SETTINGS);
  const pages = {
    'docs/configuration.md': settings.map(({ env }) => env),
    'docs/errors.md': Object.keys(ERRORS),
  };
  for (const [page, names] of Object.entries(pages)) {
    const text = await readFile(fileOf(page), 'utf8');
    for (const name of names) assert.equal(text.split(`\n| \`${name}\` |`).length, 2, `${page}: ${name}`);
  }
});

test('every name of the family stands in the page of settings', async () => {
  const text = await readFile(fileOf('docs/configuration.md'), 'utf8');
  for (const name of FAMILY.flatMap(({ names }) => names)) assert.ok(text.includes(`\`${name}\``), name);
});

test('nothing in the tables depends on the machine, and no cell breaks its row', () => {
  for (const made of Object.values(PAGES).flatMap((make) => make())) {
    const columns = made.split('\n').map((line) => line.replaceAll('\\|', '').split('|').length);
    assert.equal(new Set(columns).size, 1);
  }
  assert.match(PAGES['docs/configuration.md']?.()[0] ?? '', /^\| `CONVERSIONS` .* \| number of cores \|/m);
});
