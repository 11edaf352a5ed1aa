import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { SqliteBroker } from '../../src/adapters/sqlite/broker.ts';
import { eventually } from './eventually.ts';

export interface StormReport {
  /** Messages whose publish had resolved. */
  readonly published: number;
  /** Those of them that are nowhere. */
  readonly lost: readonly string[];
  /** Results that are there more than once, which at-least-once allows. */
  readonly repeated: number;
  /** Messages whose consumer had finished before the last kill. */
  readonly finished: number;
  readonly dead: number;
}

/** Starts a process that publishes and consumes, and kills it at a random moment, `kills` times; then counts. */
export async function killStorm(path: string, kills: number): Promise<StormReport> {
  const published: string[] = [];
  for (let life = 0; life < kills; life++) published.push(...(await liveAndDie(path, String(life))));
  const broker = SqliteBroker.open(path);
  try {
    const dead = (await broker.depth('work')).dead;
    const unfinished = await drain(broker, 'work');
    const results = await drain(broker, 'result');
    const there = new Set([...unfinished, ...results]);
    const finished = new Set(results).size;
    return {
      published: published.length,
      lost: published.filter((id) => !there.has(id)),
      repeated: results.length - finished,
      finished,
      dead,
    };
  } finally {
    await broker.close();
  }
}

/** The ids that the process had published when it was killed. */
async function liveAndDie(path: string, life: string): Promise<string[]> {
  const script = new URL('broker-storm-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, path, life], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const told = text(child.stdout);
  // Some die while they open the file, most while they work.
  const firstWord = once(child.stdout, 'readable');
  if (randomInt(10) > 0) await Promise.race([firstWord, exit]);
  await delay(randomInt(200));
  child.kill('SIGKILL');
  await exit;
  return (await told).split('\n').slice(0, -1);
}

async function drain(broker: SqliteBroker, queue: string): Promise<string[]> {
  const ids: string[] = [];
  const consumer = await broker.consume(
    queue,
    { prefetch: 50, maxAttempts: 1, backoffMs: () => 0 },
    ({ body }) => {
      ids.push(String(body.id));
      return Promise.resolve({ kind: 'done' });
    },
  );
  await eventually(
    `${queue} is empty`,
    async () => {
      const { waiting, unacknowledged = 0 } = await broker.depth(queue);
      return waiting + unacknowledged === 0;
    },
    120_000,
  );
  await consumer.stop(1_000);
  return ids;
}
