import { after, before, type TestContext } from 'node:test';
import { Connection, type Envelope } from 'rabbitmq-client';
import { RabbitMqBroker, type RabbitMqOptions } from '../../src/adapters/rabbitmq/broker.ts';
import type { LogEntry } from './recorded-log.ts';
import { recordedLog } from './recorded-log.ts';
import {
  startRabbitMq,
  type RabbitMqOptions as ServerOptions,
  type RabbitMqServer,
} from './servers/rabbitmq.ts';

/** One virtual host of its own, and those who use it. All of it is closed after the test. */
export interface RabbitMqStage {
  readonly server: RabbitMqServer;
  readonly url: string;
  readonly vhost: string;
  /** What brokers of open() logged. */
  readonly entries: readonly LogEntry[];
  /** Without the rest that new queues get, where `options` do not say so: each test makes its own. */
  open(options?: Partial<RabbitMqOptions>): Promise<RabbitMqBroker>;
  /** A message as another program sends it: bytes, and only the properties that are named. */
  publishForeign(queue: string, body: Buffer | string, properties?: Partial<Envelope>): Promise<void>;
  /** Makes a queue by hand; classic and durable without arguments. */
  declare(queue: string, args?: Record<string, unknown>): Promise<void>;
}

/** One server for all tests of a file; ask for a stage inside of each. */
export function rabbitMqFile(options: ServerOptions = {}): (t: TestContext) => Promise<RabbitMqStage> {
  let server: RabbitMqServer | undefined;
  before(async () => {
    server = await startRabbitMq(options);
  });
  after(() => server?.stop());
  return async (t) => {
    if (server === undefined) throw new Error('The server is there only inside of tests');
    return setStage(t, server);
  };
}

async function setStage(t: TestContext, server: RabbitMqServer): Promise<RabbitMqStage> {
  const url = await server.freshUrl();
  const vhost = new URL(url).pathname.slice(1);
  const log = recordedLog();
  const closing: (() => Promise<void>)[] = [];
  t.after(() => Promise.all(closing.map((close) => close())));
  return {
    server,
    url,
    vhost,
    entries: log.entries,
    open: async (options = {}) => {
      const broker = await RabbitMqBroker.open(url, { log, settleMs: 0, ...options });
      closing.push(() => broker.close());
      return broker;
    },
    publishForeign: async (queue, body, properties = {}) => {
      const connection = new Connection(url);
      try {
        const channel = await connection.acquire();
        await channel.confirmSelect();
        const envelope = { deliveryMode: 2, ...properties, routingKey: queue };
        await channel.basicPublish(envelope, Buffer.from(body));
        await channel.close();
      } finally {
        await connection.close();
      }
    },
    declare: async (queue, args = {}) => {
      await server.manage('PUT', `/queues/${vhost}/${queue}`, { durable: true, arguments: args });
    },
  };
}
