import type { Config } from '../config/config.ts';
import { FAILED_QUEUE } from '../domain/messages.ts';
import { replayDeadLetters, type AnnouncementQueue, type Replayed } from '../flow/dead-letters.ts';
import type { DeadLetter, QueueDepth } from '../ports/broker.ts';
import type { Logger } from '../ports/logger.ts';
import { explainStart } from './explain-start.ts';
import { PortSet } from './port-set.ts';

/** The queues and their dead letters, for the command line; the server may run meanwhile. */
export interface Queues {
  /** In the order of the way of the data. */
  depths(): Promise<readonly { readonly queue: string; readonly depth: QueueDepth }[]>;
  /** Oldest first. */
  deadLetters(queue: string, limit: number): Promise<readonly DeadLetter[]>;
  /** See replayDeadLetters(). */
  replay(queue: string, messageId?: string): Promise<Replayed>;
  /** Forgets dead letters, those of `messageId` or all; says how many. */
  drop(queue: string, messageId?: string): Promise<number>;
  close(): Promise<void>;
}

/** The names of the queues of an installation. */
export function queueNames(config: Config): readonly string[] {
  return queuesOf(config).map(({ name }) => name);
}

function queuesOf(config: Config): readonly AnnouncementQueue[] {
  return [
    { name: config.videoQueue, announcement: 'video' },
    { name: config.mp3Queue, announcement: 'mp3' },
    { name: FAILED_QUEUE, announcement: 'failed' },
  ];
}

/** Opens the broker that the settings name; `config.invalid` where its place can't be used. */
export async function openQueues(config: Config, log: Logger): Promise<Queues> {
  const ports = new PortSet(config, log);
  const broker = await ports.broker().catch((error: unknown) => {
    throw explainStart(error, config);
  });
  const known = queuesOf(config);
  return {
    depths: async () => {
      const depths = [];
      for (const { name } of known) depths.push({ queue: name, depth: await broker.depth(name) });
      return depths;
    },
    deadLetters: (queue, limit) => broker.deadLetters(queue, limit),
    replay: async (name, messageId) => {
      const queue = known.find((one) => one.name === name);
      if (queue === undefined) return { replayed: 0, refused: [] };
      const [conversions, videos] = [await ports.conversions(), await ports.videos()];
      return replayDeadLetters({ broker, conversions, videos }, queue, messageId);
    },
    drop: (queue, messageId) => broker.drop(queue, messageId === undefined ? undefined : [messageId]),
    close: () => ports.close(),
  };
}
