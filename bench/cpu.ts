import { readdir, readFile } from 'node:fs/promises';

/** Seconds of CPU (user and system, ended children included) by the name of the program. */
export type CpuSeconds = ReadonlyMap<string, number>;

// USER_HZ of Linux (sysconf(_SC_CLK_TCK)), the unit of /proc/<pid>/stat; 100 on every platform that Node runs on.
const TICKS_PER_SECOND = 100;

interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly program: string;
  readonly seconds: number;
}

/** What this process (`client`) and all that descend from it have used so far; `nameOf` may name a process better. */
export async function cpuSeconds(nameOf: (pid: number) => string | undefined): Promise<CpuSeconds> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const all = (await Promise.all(pids.map(readEntry))).filter((entry) => entry !== undefined);
  const ours = new Set([process.pid]);
  // A parent may stand behind its child in the list.
  for (let known = 0; known !== ours.size;) {
    known = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  const sums = new Map<string, number>();
  for (const { pid, program, seconds } of all) {
    if (!ours.has(pid)) continue;
    const name = pid === process.pid ? 'client' : (nameOf(pid) ?? program);
    sums.set(name, (sums.get(name) ?? 0) + seconds);
  }
  return sums;
}

/** What was used in between, by program; the largest first. */
export function usedBetween(before: CpuSeconds, after: CpuSeconds): [program: string, seconds: number][] {
  return [...after]
    .map(([name, seconds]): [string, number] => [name, seconds - (before.get(name) ?? 0)])
    .sort(([, a], [, b]) => b - a);
}

async function readEntry(name: string): Promise<Entry | undefined> {
  try {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8');
    // The name stands in brackets and may hold anything: fields are counted from behind it (proc_pid_stat(5)).
    const close = stat.lastIndexOf(')');
    const fields = stat.slice(close + 2).split(' ');
    const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
    return {
      pid: Number(name),
      parent: Number(fields[1]),
      program: stat.slice(stat.indexOf('(') + 1, close),
      seconds: ((utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0)) / TICKS_PER_SECOND,
    };
  } catch {
    return undefined;
  }
}
