import { readdir, readFile } from 'node:fs/promises';

/** A process of this machine, as /proc shows it. */
export interface ProcessFacts {
  readonly pid: number;
  readonly commandLine: string;
  readonly environment: string;
}

/** The living processes that `parent` has started, zombies left out. Linux only, as the tests are. */
export async function childrenOf(parent: number): Promise<ProcessFacts[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(names.map((name) => readProcess(Number(name), parent)));
  return found.filter((child) => child !== undefined);
}

async function readProcess(pid: number, parent: number): Promise<ProcessFacts | undefined> {
  try {
    const status = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
    // The name stands in brackets and may hold anything: fields are counted from behind it.
    const [state, ppid] = status.slice(status.lastIndexOf(')') + 2).split(' ');
    if (Number(ppid) !== parent || state === 'Z') return undefined;
    const commandLine = await readFile(`/proc/${String(pid)}/cmdline`, 'utf8');
    const environment = await readFile(`/proc/${String(pid)}/environ`, 'utf8');
    return { pid, commandLine, environment };
  } catch {
    return undefined;
  }
}

/** True while there is a process of that id that is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    const status = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
    return status.slice(status.lastIndexOf(')') + 2, status.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}
