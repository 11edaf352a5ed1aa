import { isIP } from 'node:net';
import { Type, type TSchema } from 'typebox';
import { parseEmail } from '../domain/user.ts';

/** How the text of a setting is written, checked and read. */
export interface Form<T> {
  /** For people: `duration (30s, 15m, 6h, 7d)`. */
  readonly says: string;
  /** What the text must look like. */
  readonly schema: TSchema;
  readonly read: (text: string) => T;
}

function form<T>(says: string, schema: TSchema, read: (text: string) => T): Form<T> {
  return { says, schema, read };
}

/** Any text that is not empty. */
export function text(says = 'text'): Form<string> {
  return form(says, Type.String({ minLength: 1 }), (value) => value);
}

/** One of some words. */
export function word<const W extends string>(...words: readonly W[]): Form<W> {
  return form(words.join(' | '), Type.Union(words.map((one) => Type.Literal(one))), (value) => value as W);
}

/** Separated by commas; empty entries don't count. */
export function list(says: string): Form<readonly string[]> {
  return form(says, Type.String(), entriesOf);
}

/** A TCP port; 0 takes a free one. */
export const port: Form<number> = form(
  'port, 0 to 65535',
  Type.String({
    pattern: '^(0|[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])$',
  }),
  Number,
);

/** A whole number from 1 on. */
export const count: Form<number> = form(
  'whole number from 1 on',
  Type.String({ pattern: '^[1-9]\\d{0,5}$' }),
  Number,
);

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A duration, read as milliseconds. */
export const duration: Form<number> = form(
  'duration (500ms, 30s, 15m, 6h, 7d)',
  Type.String({ pattern: '^\\d{1,6}(ms|s|m|h|d)$' }),
  readDuration,
);

/** A duration of at least a second: the precision of a token's time. */
export const lifetime: Form<number> = form(
  'duration from 1s on (15m, 6h, 7d)',
  Type.Refine(duration.schema, (value) => readDuration(String(value)) >= 1_000),
  readDuration,
);

// Node's timers count 31 bits of milliseconds, and fire at once where more is asked of them.
const LONGEST_TIMER_MS = 24 * 86_400_000;

/** A duration that somebody waits for, from `leastMs` on. */
export function wait(leastMs: number): Form<number> {
  const isWithin = (value: unknown): boolean => {
    const ms = readDuration(String(value));
    return ms >= leastMs && ms <= LONGEST_TIMER_MS;
  };
  const says = `duration${leastMs > 0 ? ', not 0' : ''} (500ms, 30s, 15m, 6h), at most 24d`;
  return form(says, Type.Refine(duration.schema, isWithin), readDuration);
}

/** A duration, or `forever` (null). */
export const durationOrForever: Form<number | null> = form(
  'duration (12h, 30d) or forever',
  Type.String({ pattern: '^(forever|\\d{1,6}(ms|s|m|h|d))$' }),
  (value) => (value === 'forever' ? null : readDuration(value)),
);

function readDuration(value: string): number {
  const unit = value.replace(/^\d+/, '');
  return Number.parseInt(value, 10) * (DURATION_MS[unit] ?? Number.NaN);
}

const SIZE_POWER: readonly string[] = ['', 'K', 'M', 'G', 'T'];

/** A size, read as bytes; the units are powers of 1024. */
export const size: Form<number> = form(
  'size (500MiB, 5GiB), in powers of 1024',
  Type.String({ pattern: '^\\d{1,15}( ?[KMGT]i?B?|B)?$' }),
  (value) => {
    const letter = /[KMGT]/.exec(value)?.[0] ?? '';
    return Number.parseInt(value, 10) * 1024 ** SIZE_POWER.indexOf(letter);
  },
);

/** An http(s) address, read without a slash at its end. */
export const httpUrl: Form<string> = form(
  'http(s) URL without query',
  Type.Refine(Type.String({ pattern: '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$' }), (value) =>
    URL.canParse(value),
  ),
  (value) => value.replace(/\/+$/, ''),
);

/** One e-mail address, without a display name. */
export const email: Form<string> = form(
  'e-mail address',
  Type.Refine(Type.String(), (value) => isEmail(value)),
  (value) => parseEmail(value),
);

function isEmail(value: string): boolean {
  try {
    return parseEmail(value) !== '';
  } catch {
    return false;
  }
}

/** Addresses and networks, separated by commas. */
export const networks: Form<readonly string[]> = form(
  'addresses or CIDRs, by commas',
  Type.Refine(Type.String(), (value) => entriesOf(value).every(isNetwork)),
  entriesOf,
);

function isNetwork(entry: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/([1-9]\d{0,2}))?$/.exec(entry) ?? [];
  const version = isIP(address);
  return version !== 0 && (bits === undefined || Number(bits) <= (version === 4 ? 32 : 128));
}

function entriesOf(value: string): readonly string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
