import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { listen } from './listen.ts';

/** COM_STMT_EXECUTE of the MySQL client/server protocol, the byte behind a packet's header of four. */
const EXECUTE = 0x17;
const HEADER_BYTES = 4;

/** A request that its client has given up, and that is still on its way to the server. */
export interface HeldRequest {
  /** Lets it reach the server; resolves when that has answered. */
  deliver(): Promise<void>;
}

export interface LossyProxy {
  readonly port: number;
  /**
   * Lets one request reach the server, and cuts the connection instead of handing on what the server answers.
   * `skip`: how many requests pass before it. `beforeCut` runs where the server has answered and the client does not
   * know yet.
   */
  loseAnswer(skip?: number, beforeCut?: () => Promise<unknown>): void;
  /** From now on, whatever is sent over a connection that is there now cuts it, as behind a router that forgot it. */
  forget(): void;
  /** How many connections there are. */
  connections(): number;
  /** How many answers were lost so far. */
  lost(): number;
  /** Cuts the client's connection at its next request, which the server has not got then. */
  holdRequest(): Promise<HeldRequest>;
}

/** True for what comes from a client and is to be lost. */
export type IsRequest = (chunk: Buffer) => boolean;

const isExecution: IsRequest = (chunk) => chunk[HEADER_BYTES] === EXECUTE;

/** Stands between a client and its server. Requests are the prepared statements of MySQL unless `isRequest` says otherwise. */
export async function startLossyProxy(
  t: Pick<TestContext, 'after'>,
  serverPort: number,
  isRequest: IsRequest = isExecution,
): Promise<LossyProxy> {
  let skip = -1;
  let lost = 0;
  const clients = new Set<Socket>();
  const forgotten = new WeakSet<Socket>();
  let beforeCut: (() => Promise<unknown>) | undefined;
  let hold: ((held: HeldRequest) => void) | undefined;
  const server = createServer((client: Socket) => {
    const upstream = connect(serverPort, '127.0.0.1');
    let isDoomed = false;
    clients.add(client);
    client.on('close', () => clients.delete(client));
    let isHeld = false;
    client.on('data', (chunk: Buffer) => {
      if (forgotten.has(client)) {
        client.destroy();
        return;
      }
      if (hold !== undefined && isRequest(chunk)) {
        isHeld = true;
        hold({ deliver: () => deliver(upstream, chunk) });
        hold = undefined;
        client.destroy();
        return;
      }
      if (skip >= 0 && isRequest(chunk)) {
        isDoomed = skip === 0;
        skip -= 1;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (!isDoomed) {
        client.write(chunk);
        return;
      }
      lost += 1;
      const cut = (): void => void client.destroy();
      if (beforeCut === undefined) cut();
      else void beforeCut().finally(cut);
    });
    const end = (): void => {
      client.destroy();
      if (!isHeld) upstream.destroy();
    };
    client.on('error', end).on('close', end);
    upstream.on('error', end).on('close', end);
  });
  const port = await listen(t, server);
  return {
    port,
    loseAnswer: (count = 0, between) => {
      skip = count;
      beforeCut = between;
    },
    forget: () => {
      for (const client of clients) forgotten.add(client);
    },
    connections: () => clients.size,
    lost: () => lost,
    holdRequest: () =>
      new Promise((resolve) => {
        hold = resolve;
      }),
  };
}

async function deliver(upstream: Socket, chunk: Buffer): Promise<void> {
  const answered = once(upstream, 'data');
  upstream.write(chunk);
  await answered;
  upstream.destroy();
}
