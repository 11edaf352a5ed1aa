import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileOf, PAGES, withTable } from '../../scripts/docs.ts';
import { NOT_YET, SETTINGS, type Setting } from '../../src/config/settings.ts';
import { ERRORS } from '../../src/domain/errors.ts';

for (const [page, made] of Object.entries(PAGES)) {
  test(`the table of ${page} says what the code says (else: npm run docs)`, async () => {
    const text = await readFile(fileOf(page), 'utf8');
    const [lines, should] = [text, withTable(text, made())].map((whole) => whole.split('\n'));
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

test('every name of the family that is refused for now stands in the page of settings', async () => {
  const text = await readFile(fileOf('docs/configuration.md'), 'utf8');
  for (const name of NOT_YET) assert.ok(text.includes(`\`${name}\``), name);
});

test('nothing in the tables depends on the machine, and no cell breaks its row', () => {
  for (const made of Object.values(PAGES).map((make) => make())) {
    const columns = made.split('\n').map((line) => line.replaceAll('\\|', '').split('|').length);
    assert.equal(new Set(columns).size, 1);
  }
  assert.match(PAGES['docs/configuration.md']?.() ?? '', /^\| `CONVERSIONS` .* \| number of cores \|/m);
});
