import { setTimeout as delay } from 'node:timers/promises';
import type { RabbitMqServer } from '../../tests/support/servers/rabbitmq.ts';

interface Queue {
  readonly name: string;
  readonly messages?: number;
}

const isForDead = ({ name }: Queue): boolean => name.endsWith('.dead');

// The management interface counts every five seconds.
const COUNTED_AFTER_MS = 6_000;

/** Waits until no queue but those of dead letters holds a message; lines about those that do after `deadlineMs`. */
export async function waitUntilDrained(rabbitmq: RabbitMqServer, deadlineMs: number): Promise<string[]> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    await delay(COUNTED_AFTER_MS);
    const queues = (await rabbitmq.manage('GET', '/queues')) as Queue[];
    const full = queues.filter((queue) => !isForDead(queue) && (queue.messages ?? 0) > 0);
    if (full.length === 0) return [];
    if (Date.now() > end) {
      return full.map(({ name, messages }) => `queue ${name} still holds ${String(messages)} messages`);
    }
  }
}

/** The `video_fid` of each dead letter, or what it holds instead. They stay where they are. */
export async function readDeadLetters(rabbitmq: RabbitMqServer): Promise<string[]> {
  const queues = (await rabbitmq.manage('GET', '/queues')) as Queue[];
  const found: string[] = [];
  for (const { name } of queues.filter(isForDead)) {
    const path = `/queues/%2F/${encodeURIComponent(name)}/get`;
    const request = { count: 10_000, ackmode: 'ack_requeue_true', encoding: 'auto' };
    const messages = (await rabbitmq.manage('POST', path, request)) as { payload: string }[];
    found.push(...messages.map(({ payload }) => videoOf(payload)));
  }
  return found;
}

function videoOf(payload: string): string {
  try {
    return (JSON.parse(payload) as { video_fid: string }).video_fid;
  } catch {
    return payload.slice(0, 80);
  }
}
