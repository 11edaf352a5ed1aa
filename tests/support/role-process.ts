import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Check } from '../../src/ports/role.ts';
import { eventually } from './eventually.ts';
import { BIN, environmentOf } from './program.ts';
import { freePort } from './servers/server-process.ts';

export type Role = 'auth' | 'gateway' | 'converter' | 'notification';

/** What `/readyz` says. */
export interface ReadinessAnswer {
  readonly ready: boolean;
  readonly checks: readonly Check[];
}

interface Place {
  /** For messages, folders and logs: `converter-2`. */
  readonly name: string;
  readonly role: Role;
  readonly port: number;
  /** Of its data and its log. */
  readonly folder: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Gets what it prints instead of the log file, line by line. */
  readonly onLine?: (line: string) => void;
}

const START_DEADLINE_MS = 60_000;
/** SHUTDOWN_GRACE (20 s) and what a busy machine needs besides. */
const STOP_DEADLINE_MS = 60_000;

/**
 * One role in a process of its own (`audiowave serve <role>`), on a port that it keeps over restarts. What it prints is
 * appended to its log file. The kernel kills it when this process ends, however that ends (setpriv of util-linux).
 */
export class RoleProcess {
  readonly name: string;
  readonly role: Role;
  /** Where it listens: its interface, or the probes only. */
  readonly url: string;
  readonly logFile: string;
  /** How often a process was started for it. */
  starts = 0;
  readonly #place: Place;
  #child: ChildProcess | undefined;

  private constructor(place: Place) {
    this.#place = place;
    this.name = place.name;
    this.role = place.role;
    this.url = `http://127.0.0.1:${String(place.port)}`;
    this.logFile = join(place.folder, `${place.name}.log`);
  }

  /** Prepares it; nothing runs before start(). */
  static async create(place: Omit<Place, 'port'> & { readonly port?: number }): Promise<RoleProcess> {
    await mkdir(place.folder, { recursive: true });
    return new RoleProcess({ ...place, port: place.port ?? (await freePort()) });
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} does not run`);
    return pid;
  }

  get runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the process, and returns at once. */
  spawn(): void {
    if (this.runs) throw new Error(`${this.name} runs already`);
    const { role, port, folder, name, settings, onLine } = this.#place;
    const log = openSync(this.logFile, 'a');
    const output = onLine === undefined ? log : 'pipe';
    try {
      const command = ['--pdeathsig', 'KILL', '--', process.execPath, BIN, 'serve', role];
      const child = spawn('setpriv', command, {
        env: environmentOf({
          AUDIOWAVE_DATA: join(folder, name),
          MIN_FREE_DISK: '1MiB',
          ...settings,
          [PORT_SETTINGS[role]]: String(port),
        }),
        stdio: ['ignore', output, output],
      });
      child.once('error', () => undefined);
      if (onLine !== undefined) {
        for (const stream of [child.stdout, child.stderr]) {
          if (stream !== null) createInterface({ input: stream }).on('line', onLine);
        }
      }
      this.#child = child;
      this.starts += 1;
    } finally {
      closeSync(log);
    }
  }

  /** Starts the process; resolves when it answers on its port, be it ready or not. */
  async start(): Promise<void> {
    this.spawn();
    await eventually(
      `${this.name} answers`,
      async () => {
        if (!this.runs) return 'ended';
        return (await this.#ask('/healthz')).ok;
      },
      START_DEADLINE_MS,
    );
    if (!this.runs) throw new Error(`${this.name} did not start. ${(await this.log()).slice(-2_000)}`);
  }

  /** What it says of its dependencies; throws where it does not answer. */
  async readiness(): Promise<ReadinessAnswer> {
    return (await (await this.#ask('/readyz')).json()) as ReadinessAnswer;
  }

  /** Waits until it says that it is ready. */
  async ready(deadlineMs = START_DEADLINE_MS): Promise<void> {
    await eventually(`${this.name} is ready`, () => this.#isReady(true), deadlineMs);
  }

  /** Waits until it says that it is not ready; what it says then. */
  async unready(deadlineMs = START_DEADLINE_MS): Promise<ReadinessAnswer> {
    return eventually(`${this.name} is not ready`, () => this.#isReady(false), deadlineMs);
  }

  async #isReady(wanted: boolean): Promise<ReadinessAnswer> {
    const answer = await this.readiness();
    // The error is what eventually() shows where it takes too long.
    if (answer.ready !== wanted) throw new Error(JSON.stringify(answer));
    return answer;
  }

  #ask(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(5_000) });
  }

  /** Sends SIGTERM, and waits, for a minute at most; the exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL, as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    if (!this.runs) return child.exitCode;
    const exit = once(child, 'exit', { signal: AbortSignal.timeout(STOP_DEADLINE_MS) });
    child.kill(signal);
    const [code] = (await exit.catch((cause: unknown) => {
      throw new Error(`${this.name} did not end after ${signal}`, { cause });
    })) as [number | null];
    return code;
  }

  /** All that it has printed so far, of all its starts. */
  log(): Promise<string> {
    return readFile(this.logFile, 'utf8');
  }
}

const PORT_SETTINGS: Readonly<Record<Role, string>> = {
  auth: 'AUDIOWAVE_AUTH_PORT',
  gateway: 'AUDIOWAVE_PORT',
  converter: 'AUDIOWAVE_HEALTH_PORT',
  notification: 'AUDIOWAVE_HEALTH_PORT',
};
