import type { Findings } from './audit.ts';
import type { Killer } from './killer.ts';
import type { SeenRecord } from './records.ts';
import type { Traffic } from './traffic.ts';

/** All that a run has done and found. */
export interface Run {
  readonly killer: Killer;
  readonly traffic: Traffic;
  readonly records: readonly SeenRecord[];
  readonly mails: number;
  readonly findings: Findings;
}

const SHOWN = 40;

/** The table of a run: two columns, what and how much. */
export function showTable({ killer, traffic, records, mails, findings }: Run): string {
  const rows: [string, number | string][] = [
    ...[...killer.kills].sort().map(([target, count]): [string, number] => [`kills of ${target}`, count]),
    ['processes that ended by themselves', killer.endedAlone.join(', ') || 0],
    ['videos and addresses sent', traffic.sent],
    ...[...traffic.answers].sort().map(([answer, count]): [string, number] => [`answers: ${answer}`, count]),
    ['accepted', traffic.accepted.length],
    ['records of all, unanswered ones included', records.length],
    ['conversions begun more than once', records.filter(({ attempts }) => attempts > 1).length],
    ['most attempts of one conversion', Math.max(0, ...records.map(({ attempts }) => attempts))],
    ['mails', mails],
    ['mails beyond one each', findings.extraMails],
    ['allowed: one for each kill of a notification', killer.killsOf('notification')],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, count]) => `  ${what.padEnd(width)}  ${String(count)}`).join('\n');
}

/** What is wrong, a line each; empty where nothing is. */
export function showFindings({ killer, findings }: Run): string[] {
  const { lost, doubled, stuck, orphans, extraMails } = findings;
  const groups: [string, readonly string[]][] = [
    ['lost', lost],
    ['doubled', doubled],
    ['stuck', stuck],
    ['orphan', orphans],
  ];
  const lines = groups.flatMap(([word, found]) => [
    ...found.slice(0, SHOWN).map((line) => `  ${word}: ${line}`),
    ...(found.length > SHOWN ? [`  ${word}: and ${String(found.length - SHOWN)} more`] : []),
  ]);
  if (extraMails > killer.killsOf('notification')) {
    lines.push(`  mails: ${String(extraMails)} beyond one each, more than notifications were killed`);
  }
  if (killer.endedAlone.length > 0) lines.push(`  ended by themselves: ${killer.endedAlone.join(', ')}`);
  return lines;
}

/** The last line. */
export function showResult({ killer, traffic, findings }: Run): string {
  const counts = {
    kills: killer.killed,
    accepted: traffic.accepted.length,
    ready: findings.ready,
    failed: findings.failed,
    lost: findings.lost.length,
    doubled: findings.doubled.length,
    stuck: findings.stuck.length,
    orphans: findings.orphans.length,
  };
  return `chaos: ${Object.entries(counts)
    .map(([word, count]) => `${word}=${String(count)}`)
    .join(' ')}`;
}
