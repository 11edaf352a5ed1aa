/** @import { Conversion } from './api.js' */

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];

/**
 * `1_234_567` → `1.2 MB`; steps of 1000, as file managers and drives count.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  let value = bytes;
  let step = 0;
  while (value >= 999.5 && step < SIZES.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${SIZES[step] ?? ''}`;
}

/**
 * A length of sound: `4:05`, `1:02:03`.
 * @param {number} ms
 */
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  const tail = parts.map((part) => String(part).padStart(2, '0')).join(':');
  return hours > 0 ? `${String(hours)}:${tail}` : tail.replace(/^0(?=\d:)/, '');
}

/**
 * A waiting time: `about 5 s`, `about 3 min`.
 * @param {number} seconds
 */
export function formatWait(seconds) {
  if (seconds < 60) return `about ${String(Math.max(1, Math.ceil(seconds)))} s`;
  if (seconds < 5400) return `about ${String(Math.round(seconds / 60))} min`;
  return `about ${String(Math.round(seconds / 3600))} h`;
}

/**
 * Never `100%` before the end.
 * @param {number} percent
 */
export function formatPercent(percent) {
  return `${String(Math.floor(Math.max(0, Math.min(100, percent))))}%`;
}

const ago = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const day = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });
const exact = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'medium' });

/**
 * `just now`, `5 minutes ago`, `yesterday`; a date after a week.
 * @param {string} iso
 * @param {number} [now]
 */
export function formatAgo(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (seconds > -45) return 'just now';
  if (seconds > -2700) return ago.format(Math.round(seconds / 60), 'minute');
  if (seconds > -79200) return ago.format(Math.round(seconds / 3600), 'hour');
  if (seconds > -561600) return ago.format(Math.round(seconds / 86400), 'day');
  return day.format(Date.parse(iso));
}

/** @param {string} iso */
export function formatExact(iso) {
  return exact.format(Date.parse(iso));
}

/**
 * What to call a conversion: its name, else where it came from.
 * @param {Pick<Conversion, 'name' | 'source'>} conversion
 */
export function titleOf(conversion) {
  if (conversion.name !== null && conversion.name !== '') return conversion.name;
  const { url } = conversion.source;
  if (url === undefined || !URL.canParse(url)) return 'Video without a name';
  const { host, pathname } = new URL(url);
  return lastSegment(pathname) || host;
}

/** @param {string} path */
function lastSegment(path) {
  const segment = path.split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/**
 * `text` cut into plain stretches and http(s) addresses; punctuation that ends a sentence is no part of an address.
 * @param {string} text
 * @returns {{ text: string, link: boolean }[]}
 */
export function splitLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    const url = match[0].replace(/[.,;:!?)\]'’]+$/, '');
    if (!URL.canParse(url)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), link: false });
    parts.push({ text: url, link: true });
    end = match.index + url.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), link: false });
  return parts;
}
