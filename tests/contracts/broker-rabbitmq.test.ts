import { after, before, type TestContext } from 'node:test';
import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import { BrokerProcess } from '../support/broker-process.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { startRabbitMq, type RabbitMqServer } from '../support/servers/rabbitmq.ts';
import { brokerContract, type BrokerSubject } from './broker.contract.ts';

let server: RabbitMqServer;

before(async () => {
  server = await startRabbitMq();
});

after(() => server.stop());

/** AMQP 0-9-1 has no call for it: `queue.declare-ok` counts what waits. */
const NO_CALL = 'AMQP 0-9-1 has no call that tells how many messages are with consumers';

brokerContract('rabbitmq, queues of its own', async (t) => subjectOn(t, await server.freshUrl()));

// As the family's guides make them: by hand, durable, without arguments.
brokerContract('rabbitmq, classic queues made by hand', async (t) => {
  const url = await server.freshUrl();
  for (const queue of ['video', 'mp3']) {
    await server.manage('PUT', `/queues/${new URL(url).pathname.slice(1)}/${queue}`, { durable: true });
  }
  return subjectOn(t, url);
});

function subjectOn(t: TestContext, url: string): BrokerSubject {
  const closing: (() => Promise<void>)[] = [];
  t.after(() => Promise.all(closing.map((close) => close())));
  return {
    untold: {
      why: NO_CALL,
      unacknowledged: async (queue) => Math.max(0, await server.unacknowledged(url, queue)),
    },
    open: async () => {
      const broker = await RabbitMqBroker.open(url, { log: recordedLog(), settleMs: 0 });
      closing.push(() => broker.close());
      return broker;
    },
    otherProcess: async () => {
      const process = await BrokerProcess.start(url);
      closing.push(() => process.kill());
      return process;
    },
  };
}
