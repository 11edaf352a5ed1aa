import { seededRandom } from '../../tests/support/random.ts';

/** One SIGKILL, and when its victim is started again. */
export interface Kill {
  /** Milliseconds after the beginning. */
  readonly atMs: number;
  /** A server or a role process: `mongodb`, `converter-2`. */
  readonly target: string;
  /** How long the victim stays away before it is started. */
  readonly downMs: number;
}

const GAP_MS = { least: 2_500, most: 7_500 };
const DOWN_MS = { least: 300, most: 4_000 };

/**
 * The kills of a run of `lengthMs`, the same for the same seed: rounds in which each target is hit once, in an order of
 * its own each time.
 */
export function planKills(seed: number, lengthMs: number, targets: readonly string[]): Kill[] {
  const random = seededRandom(seed);
  const between = ({ least, most }: typeof GAP_MS): number => Math.round(least + random() * (most - least));
  const kills: Kill[] = [];
  let round: string[] = [];
  for (let atMs = between(GAP_MS); atMs < lengthMs; atMs += between(GAP_MS)) {
    if (round.length === 0) round = shuffled(targets, random);
    kills.push({ atMs, target: round.pop() ?? '', downMs: between(DOWN_MS) });
  }
  return kills;
}

/** Fisher and Yates. */
function shuffled(values: readonly string[], random: () => number): string[] {
  const mixed = [...values];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other] ?? '', mixed[last] ?? ''];
  }
  return mixed;
}

/** The plan as lines to read. */
export function showPlan(kills: readonly Kill[]): string {
  return kills
    .map(
      ({ atMs, target, downMs }) =>
        `  ${seconds(atMs).padStart(7)}  ${target.padEnd(14)} away for ${seconds(downMs)}`,
    )
    .join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
