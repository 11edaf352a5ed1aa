import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { listen } from './listen.ts';

/** COM_STMT_EXECUTE of the MySQL client/server protocol, the byte behind a packet's header of four. */
const EXECUTE = 0x17;
const HEADER_BYTES = 4;

export interface LossyProxy {
  readonly port: number;
  /**
   * Lets one prepared statement reach the server, and cuts the connection instead of handing on what the server
   * answers. `skip`: how many statements pass before it.
   */
  loseAnswer(skip?: number): void;
  /** How many answers were lost so far. */
  lost(): number;
}

/** Stands between a client of MySQL and its server. */
export async function startLossyProxy(
  t: Pick<TestContext, 'after'>,
  serverPort: number,
): Promise<LossyProxy> {
  let skip = -1;
  let lost = 0;
  const server = createServer((client: Socket) => {
    const upstream = connect(serverPort, '127.0.0.1');
    let isDoomed = false;
    client.on('data', (chunk: Buffer) => {
      if (skip >= 0 && chunk[HEADER_BYTES] === EXECUTE) {
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
      client.destroy();
    });
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on('error', end).on('close', end);
    upstream.on('error', end).on('close', end);
  });
  const port = await listen(t, server);
  return {
    port,
    loseAnswer: (count = 0) => {
      skip = count;
    },
    lost: () => lost,
  };
}
