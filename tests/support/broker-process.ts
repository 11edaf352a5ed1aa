import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { SqliteBrokerOptions } from '../../src/adapters/sqlite/broker.ts';
import type { MessageBody } from '../../src/domain/messages.ts';

/** What the test asks of broker-crash-child.ts, one at a time. */
export type ChildCommand =
  | { readonly do: 'publish'; readonly queue: string; readonly body: MessageBody; readonly messageId: string }
  | { readonly do: 'take'; readonly queue: string }
  | { readonly do: 'answer-done' }
  | { readonly do: 'close' };

export interface ChildTaken {
  readonly messageId: string;
  readonly attempt: number;
}

/** What the child says; `failed` ends the wait for the others. */
export type ChildReport =
  | { readonly said: 'ready' | 'published' | 'answered' | 'closed' }
  | { readonly said: 'aborted' }
  | ({ readonly said: 'taken' } & ChildTaken)
  | { readonly said: 'failed'; readonly message: string };

/** A real process that uses the broker of a file or a server, and can be killed or halted. */
export class BrokerProcess {
  readonly child: ChildProcess;
  readonly #reports: ChildReport[] = [];
  readonly #exit: Promise<unknown>;

  private constructor(place: string, options: SqliteBrokerOptions) {
    const script = new URL('broker-crash-child.ts', import.meta.url);
    this.child = fork(script, [place, JSON.stringify(options)], { execArgv: [] });
    this.#exit = once(this.child, 'exit');
    this.child.on('message', (report) => this.#reports.push(report as ChildReport));
  }

  /** `place` is a file or an amqp: URL. The caller kills it, unless it ends by itself. */
  static async start(place: string, options: SqliteBrokerOptions = {}): Promise<BrokerProcess> {
    const process = new BrokerProcess(place, options);
    try {
      await process.hears('ready');
      return process;
    } catch (error) {
      await process.kill();
      throw error;
    }
  }

  async publish(queue: string, body: MessageBody, messageId: string): Promise<void> {
    await this.asks({ do: 'publish', queue, body, messageId }, 'published');
  }

  async take(queue: string): Promise<ChildTaken> {
    const { messageId, attempt } = await this.asks({ do: 'take', queue }, 'taken');
    return { messageId, attempt };
  }

  async asks<S extends ChildReport['said']>(
    command: ChildCommand,
    said: S,
  ): Promise<Extract<ChildReport, { said: S }>> {
    this.child.send(command);
    return this.hears(said);
  }

  /** The next report of this kind; fails when the child fails, ends, or says nothing for 15 s. */
  async hears<S extends ChildReport['said']>(said: S): Promise<Extract<ChildReport, { said: S }>> {
    const signal = AbortSignal.timeout(15_000);
    for (;;) {
      const index = this.#reports.findIndex((report) => report.said === said || report.said === 'failed');
      const [report] = index < 0 ? [] : this.#reports.splice(index, 1);
      if (report?.said === 'failed') throw new Error(report.message);
      if (report !== undefined) return report as Extract<ChildReport, { said: S }>;
      await Promise.race([
        once(this.child, 'message', { signal }),
        this.#exit.then(() => {
          throw new Error(`the process ended before it said ${said}`);
        }),
      ]);
    }
  }

  /** Resolves with the exit code of a process that ends by itself. */
  async exitCode(): Promise<number | null> {
    await this.#exit;
    return this.child.exitCode;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#exit;
  }
}
