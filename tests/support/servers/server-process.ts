import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { appendFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';

/** A real server that a test, a benchmark or a development run has started for itself. */
export interface TestServer {
  /** What an adapter is given to reach it, credentials included. */
  readonly url: string;
  /** Ends it without a last word, as a crash would. Its data stay. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it; its data may go. Harmless twice. */
  stop(): Promise<void>;
}

export interface ServerCommand {
  /** For messages: `RabbitMQ`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Resolves where the server answers as itself, not only its port; anything it throws means "not yet". */
  readonly answers: () => Promise<unknown>;
  readonly deadlineMs?: number;
}

/**
 * A port of the loopback that nobody listens on at the moment, below those that the kernel lends to outgoing connections:
 * a server that is started again finds its port free, though many have connected to somewhere meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(randomInt(12_000, 32_000), '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;
    }
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return port;
  }
}

const OUTPUT_KEPT = 4_000;

let logFolder: string | undefined;

/** From now on every server of this process appends what it prints to `<its name>.log` in `folder`. */
export function keepServerLogs(folder: string): void {
  logFolder = folder;
}

/**
 * One server process in a process group of its own. It dies with this process, however that ends: the kernel kills it
 * (PR_SET_PDEATHSIG, by setpriv of util-linux).
 */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  /** Resolves when the server answers. Fails with what it printed where it does not. */
  async start(): Promise<void> {
    const { name, program, args, env, answers, deadlineMs = 60_000 } = this.#command;
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
      // Servers lie where only root looks for programs.
      env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin`, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    let output = '';
    const log = logFolder === undefined ? undefined : join(logFolder, `${name.replaceAll(' ', '-')}.log`);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-OUTPUT_KEPT);
        if (log !== undefined) appendFileSync(log, text);
      });
    }
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended = `it ended with ${String(code ?? signal)}`));
    try {
      await eventually(
        `${name} answers`,
        () => (ended === undefined ? answers().then(() => true) : true),
        deadlineMs,
      );
    } catch (cause) {
      await this.kill();
      throw new Error(`${name} did not start: ${output}`, { cause });
    }
    if (ended !== undefined) throw new Error(`${name} did not start: ${ended}\n${output}`);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Stops it without ending it: connections stay open and nothing answers from when this resolves. */
  async freeze(): Promise<void> {
    const pid = this.#signal('SIGSTOP');
    const threads = `/proc/${String(pid)}/task`;
    // A thread that runs at this moment still answers.
    await eventually(`every thread of ${this.#command.name} has stopped`, async () => {
      const states = (await readdir(threads)).map((thread) =>
        readFile(`${threads}/${thread}/status`, 'utf8'),
      );
      return (await Promise.all(states)).every((status) => /^State:\s+T/m.test(status));
    });
  }

  /** Lets it go on; harmless where it has ended or never began. */
  thaw(): void {
    if (this.pid !== undefined) this.#signal('SIGCONT');
  }

  #signal(name: 'SIGSTOP' | 'SIGCONT'): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#command.name} was not started`);
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
    return pid;
  }

  /** SIGKILL to the whole group; resolves when the process is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM, and SIGKILL where that does not help within 10 s. */
  async terminate(): Promise<void> {
    const force = setTimeout(() => void this.kill(), 10_000);
    try {
      await this.#end('SIGTERM');
    } finally {
      clearTimeout(force);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It ended by itself in this moment.
    }
    await exit;
  }
}
