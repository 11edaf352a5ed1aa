import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import { SqliteBroker, type SqliteBrokerOptions } from '../../src/adapters/sqlite/broker.ts';
import type { Broker, Verdict } from '../../src/ports/broker.ts';
import type { ChildCommand, ChildReport } from './broker-process.ts';
import { recordedLog } from './recorded-log.ts';

const [place, options] = process.argv.slice(2);
if (place === undefined || options === undefined)
  throw new Error('usage: broker-crash-child.ts PLACE OPTIONS');
const broker: Broker = place.startsWith('amqp:')
  ? await RabbitMqBroker.open(place, { log: recordedLog(), settleMs: 0 })
  : SqliteBroker.open(place, JSON.parse(options) as SqliteBrokerOptions);
const waiting: ((verdict: Verdict) => void)[] = [];

function say(report: ChildReport): void {
  process.send?.(report);
}

async function take(queue: string): Promise<void> {
  await broker.consume(queue, { prefetch: 1, maxAttempts: 3, backoffMs: () => 0 }, (delivery) => {
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    waiting.push(resolve);
    delivery.signal.addEventListener('abort', () => {
      say({ said: 'aborted' });
    });
    say({ said: 'taken', messageId: delivery.messageId, attempt: delivery.attempt });
    return promise;
  });
}

async function obey(command: ChildCommand): Promise<void> {
  switch (command.do) {
    case 'publish':
      await broker.publish(command.queue, command.body, { messageId: command.messageId });
      say({ said: 'published' });
      return;
    case 'take':
      await take(command.queue);
      return;
    case 'answer-done':
      waiting.shift()?.({ kind: 'done' });
      say({ said: 'answered' });
      return;
    case 'close':
      await broker.close();
      say({ said: 'closed' });
      // Nothing of the broker is left now, so the process ends by itself.
      process.off('disconnect', dieWithParent);
      process.disconnect();
  }
}

function dieWithParent(): void {
  process.exit(1);
}

process.on('disconnect', dieWithParent);
process.on('message', (command) => {
  obey(command as ChildCommand).catch((error: unknown) => {
    say({ said: 'failed', message: String(error) });
  });
});
say({ said: 'ready' });
