import { readFile, writeFile } from 'node:fs/promises';
import { flagOf, SETTINGS, type Setting } from '../src/config/settings.ts';
import { ERRORS, type ErrorCode } from '../src/domain/errors.ts';
import { statusOf } from '../src/services/gateway/statuses.ts';

// Writes the tables of docs/ that are made from the code: between the two markers of each page. `npm run docs` after a
// change; tests/unit/docs-tables.test.ts tells when that was forgotten.

const BEGIN = '<!-- table: written by `npm run docs` -->';
const END = '<!-- /table -->';

/** Page → its table. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': () =>
    table(['Variable', 'Flag', 'Form', 'Default', 'Meaning'], Object.values(SETTINGS).map(settingRow)),
  'docs/errors.md': () =>
    table(
      ['Code', 'Status', 'Retry', 'Meaning', 'Remedy'],
      (Object.keys(ERRORS) as ErrorCode[]).map(errorRow),
    ),
};

function settingRow(setting: Setting<unknown>): readonly string[] {
  const flag = flagOf(setting);
  const { env, form, fallback, fallbackSays, doc } = setting;
  return [
    code(env),
    flag === undefined ? '' : code(`--${flag}`),
    form.says,
    fallbackSays ?? shown(fallback),
    doc,
  ];
}

function shown(fallback: string | undefined): string {
  return fallback === undefined || fallback === '' ? '' : code(fallback);
}

function errorRow(name: ErrorCode): readonly string[] {
  const { retryable, meaning, remedy } = ERRORS[name];
  return [code(name), String(statusOf(name)), retryable ? 'yes' : 'no', meaning, remedy];
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A bar would end the cell, and a tag would be one. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

/** The page with its table anew; throws where it has not exactly one place for it. */
export function withTable(page: string, made: string): string {
  const [before, old, ...rest] = page.split(BEGIN);
  const after = old?.split(END)[1];
  if (before === undefined || after === undefined || rest.length > 0) {
    throw new Error(`A page needs ${BEGIN} and ${END}, once each.`);
  }
  return `${before}${BEGIN}\n\n${made}\n\n${END}${after}`;
}

/** Where a page of {@link PAGES} lies. */
export function fileOf(page: string): URL {
  return new URL(`../${page}`, import.meta.url);
}

if (import.meta.main) {
  for (const [page, made] of Object.entries(PAGES)) {
    await writeFile(fileOf(page), withTable(await readFile(fileOf(page), 'utf8'), made()));
  }
}
