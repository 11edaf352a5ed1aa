import { join } from 'node:path';
import { MemoryBroker } from '../../src/adapters/memory/broker.ts';
import { MemoryQueues } from '../../src/adapters/memory/queues.ts';
import { SqliteBroker } from '../../src/adapters/sqlite/broker.ts';
import { BrokerProcess } from '../support/broker-process.ts';
import { Inbox } from '../support/inbox.ts';
import { tempFolder } from '../support/temp.ts';
import { brokerContract, type OtherProcess } from './broker.contract.ts';

brokerContract('memory', (t) => {
  const queues = new MemoryQueues();
  const open = (): MemoryBroker => {
    const broker = new MemoryBroker(queues);
    t.after(() => broker.close());
    return broker;
  };
  return Promise.resolve({
    open: () => Promise.resolve(open()),
    otherProcess: () => Promise.resolve(standIn(open())),
  });
});

brokerContract('sqlite', async (t) => {
  // Everything is closed before the folder goes: hooks run in the order of their registration.
  const closing: (() => Promise<void>)[] = [];
  t.after(() => Promise.all(closing.map((close) => close())));
  const path = join(await tempFolder(t), 'queues.sqlite');
  return {
    open: () => {
      const broker = SqliteBroker.open(path);
      closing.push(() => broker.close());
      return Promise.resolve(broker);
    },
    otherProcess: async () => {
      const process = await BrokerProcess.start(path);
      closing.push(() => process.kill());
      return process;
    },
  };
});

/** Memory ends with its process; a broker that ends without handing back stands for a killed one. */
function standIn(broker: MemoryBroker): OtherProcess {
  return {
    publish: (queue, body, messageId) => broker.publish(queue, body, { messageId }),
    take: async (queue) => {
      const inbox = new Inbox();
      await broker.consume(queue, { prefetch: 1, maxAttempts: 3, backoffMs: () => 0 }, inbox.handler);
      const { messageId, attempt } = await inbox.next();
      return { messageId, attempt };
    },
    kill: () => {
      broker.crash();
      return Promise.resolve();
    },
  };
}
