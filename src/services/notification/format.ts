/** `4.6 MB`; powers of 1000, as file managers show it. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [value, power] = [bytes, 0];
  // What would be rounded to 1000.0 is one of the next unit.
  while (value >= (power === 0 ? 1_000 : 999.95) && power < units.length - 1) {
    value /= 1_000;
    power += 1;
  }
  return `${value.toFixed(power === 0 ? 0 : 1)} ${units[power] ?? ''}`;
}

/** `1:02:03` or `2:03`; rounded to the second, never 0:00 for what can be heard. */
export function formatDuration(ms: number): string {
  const total = Math.max(1, Math.round(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return hours > 0
    ? `${String(hours)}:${two(minutes)}:${two(seconds)}`
    : `${String(minutes)}:${two(seconds)}`;
}

/** `2026-11-21 15:44 UTC`. */
export function formatDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
