import { readFile, writeFile } from 'node:fs/promises';
import { FAMILY, type FamilyRow } from '../src/config/family.ts';
import { flagOf, SETTINGS, type Setting } from '../src/config/settings.ts';
import { ERRORS, type ErrorCode } from '../src/domain/errors.ts';
import { statusOf } from '../src/services/gateway/statuses.ts';

// Writes the tables of docs/ that are made from the code: between the two markers of each table. `npm run docs` after a
// change; tests/unit/docs-tables.test.ts tells when that was forgotten.

const BEGIN = '<!-- table: written by `npm run docs` -->';
const END = '<!-- /table -->';

/** Page → its tables, in their order. */
export const PAGES: Readonly<Record<string, () => readonly string[]>> = {
  'docs/configuration.md': () => [
    table(['Variable', 'Flag', 'Form', 'Default', 'Meaning'], Object.values(SETTINGS).map(settingRow)),
    table(['Names of the family', 'Loses to', 'Chooses `distributed`', 'Meaning'], FAMILY.map(familyRow)),
  ],
  'docs/errors.md': () => [
    table(
      ['Code', 'Status', 'Retry', 'Meaning', 'Remedy'],
      (Object.keys(ERRORS) as ErrorCode[]).map(errorRow),
    ),
  ],
};

function familyRow({ names, setting, isDistributed, meaning }: FamilyRow): readonly string[] {
  const settings = setting.includes('`') ? setting : code(setting);
  return [names.map(code).join(', '), settings, isDistributed ? 'yes' : '', meaning];
}

function settingRow(setting: Setting<unknown>): readonly string[] {
  const flag = flagOf(setting);
  const { env, form, fallback, fallbackSays, distributed, doc } = setting;
  const usual = fallbackSays ?? shown(fallback);
  const cluster = distributed === undefined ? '' : `distributed: ${code(distributed)}`;
  return [
    code(env),
    flag === undefined ? '' : code(`--${flag}`),
    form.says,
    [usual, cluster].filter((one) => one !== '').join('; '),
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

/** The page with its tables anew; throws where it has not exactly one place for each. */
export function withTables(page: string, made: readonly string[]): string {
  const [before = '', ...parts] = page.split(BEGIN);
  const isWhole = parts.length === made.length && parts.every((part) => part.split(END).length === 2);
  if (!isWhole) throw new Error(`A page needs ${BEGIN} and ${END}, once for each table.`);
  return parts.reduce(
    (whole, part, index) => `${whole}${BEGIN}\n\n${made[index] ?? ''}\n\n${END}${part.split(END)[1] ?? ''}`,
    before,
  );
}

/** Where a page of {@link PAGES} lies. */
export function fileOf(page: string): URL {
  return new URL(`../${page}`, import.meta.url);
}

if (import.meta.main) {
  for (const [page, made] of Object.entries(PAGES)) {
    await writeFile(fileOf(page), withTables(await readFile(fileOf(page), 'utf8'), made()));
  }
}
