import { writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SqliteBroker } from '../../src/adapters/sqlite/broker.ts';

/** Messages that one life of the process publishes at most, so that consuming is killed, too. */
const MOST = 40;

const [path, life] = process.argv.slice(2);
if (path === undefined || life === undefined) throw new Error('usage: broker-storm-child.ts PATH LIFE');

const broker = SqliteBroker.open(path);
await broker.consume('work', { prefetch: 5, maxAttempts: 3, backoffMs: () => 0 }, async ({ body }) => {
  await broker.publish('result', body);
  await nextTurn();
  return { kind: 'done' };
});
for (let n = 0; n < MOST; n++) {
  const id = `${life}-${String(n)}`;
  await broker.publish('work', { id });
  // Told in one system call and only now: what stands there was stored.
  writeSync(1, `${id}\n`);
  await nextTurn();
}
