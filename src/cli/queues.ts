import type { Config } from '../config/config.ts';
import { openQueues, queueNames, type Queues } from '../host/queues.ts';
import { createLog } from '../host/log.ts';
import type { DeadLetter } from '../ports/broker.ts';
import { readArguments, UsageError } from './usage.ts';

const OPTIONS = { limit: { type: 'string' }, all: { type: 'boolean' } } as const;
const DEFAULT_LIMIT = 100;

/** `audiowave queues [dead | replay | drop]`. 0 done; 1 where a dead letter is not there or can't be sent again. */
export async function queues(args: readonly string[]): Promise<number> {
  const { config, words, options } = readArguments(args, OPTIONS);
  const run = commandOf(config, words, options);
  // A broker that is away says so in the error that ends the command.
  const opened = await openQueues(config, createLog({ ...config, logLevel: 'error' }));
  try {
    return await run(opened);
  } finally {
    await opened.close();
  }
}

type Run = (queues: Queues) => Promise<number>;

function commandOf(
  config: Config,
  [action, queue, messageId, ...more]: readonly string[],
  options: Readonly<Record<string, string | boolean | undefined>>,
): Run {
  if (more.length > 0) throw new UsageError(`"${more.join(' ')}" is too much.`);
  if (action === undefined) return list;
  if (!['dead', 'replay', 'drop'].includes(action)) {
    throw new UsageError('Say what to do: queues, queues dead, queues replay or queues drop.');
  }
  const names = queueNames(config);
  if (queue === undefined || !names.includes(queue)) {
    throw new UsageError(`Name a queue: ${names.join(', ')}.`);
  }
  if (action === 'dead') {
    if (messageId !== undefined) throw new UsageError(`"${messageId}" is too much.`);
    const limit = limitOf(options.limit);
    return (opened) => showDead(opened, queue, limit);
  }
  if (action === 'replay') return (opened) => replay(opened, queue, messageId);
  if ((messageId === undefined) !== (options.all === true)) {
    throw new UsageError('Say which to drop for good: the id of a message, or --all.');
  }
  return (opened) => drop(opened, queue, messageId);
}

function limitOf(option: string | boolean | undefined): number {
  if (option === undefined) return DEFAULT_LIMIT;
  if (typeof option !== 'string' || !/^[1-9]\d{0,5}$/.test(option)) {
    throw new UsageError('--limit is a whole number from 1 on.');
  }
  return Number(option);
}

async function list(opened: Queues): Promise<number> {
  const rows = (await opened.depths()).map(({ queue, depth }) => [
    queue,
    String(depth.waiting),
    depth.unacknowledged === undefined ? '?' : String(depth.unacknowledged),
    String(depth.dead),
  ]);
  print([['queue', 'waiting', 'unacknowledged', 'dead'], ...rows]);
  return 0;
}

async function showDead(opened: Queues, queue: string, limit: number): Promise<number> {
  const letters = await opened.deadLetters(queue, limit);
  const head = ['id', 'username', 'video_fid', 'attempts', 'age', 'reason'];
  if (letters.length > 0) print([head, ...letters.map(rowOf)]);
  process.stderr.write(
    letters.length === 0 ? `No dead letters in ${queue}.\n` : `${countOf(letters.length)} in ${queue}.\n`,
  );
  return 0;
}

function rowOf({ messageId, body, attempts, diedAt, reason }: DeadLetter): string[] {
  const field = (value: unknown): string => (typeof value === 'string' ? value : '?');
  return [
    messageId,
    field(body?.username),
    field(body?.video_fid),
    String(attempts),
    ageOf(Date.now() - diedAt),
    reason,
  ];
}

async function replay(opened: Queues, queue: string, messageId: string | undefined): Promise<number> {
  const { replayed, refused } = await opened.replay(queue, messageId);
  for (const { messageId: id, reason } of refused) {
    process.stderr.write(`Not sent again: ${plain(id)}: ${reason}. Forget it: ${dropLine(queue, id)}\n`);
  }
  if (replayed > 0 || refused.length === 0) process.stderr.write(`Sent ${countOf(replayed)} again.\n`);
  return refused.length > 0 || (messageId !== undefined && replayed === 0) ? 1 : 0;
}

function dropLine(queue: string, id: string): string {
  return `audiowave queues drop ${queue} '${plain(id).replaceAll("'", "'\\''")}'`;
}

async function drop(opened: Queues, queue: string, messageId: string | undefined): Promise<number> {
  const dropped = await opened.drop(queue, messageId);
  process.stderr.write(`Dropped ${countOf(dropped)} of ${queue}.\n`);
  return messageId !== undefined && dropped === 0 ? 1 : 0;
}

function countOf(count: number): string {
  return `${count === 0 ? 'no' : String(count)} dead letter${count === 1 ? '' : 's'}`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** `3d`, `12m`: one unit, rounded down. */
function ageOf(ms: number): string {
  const [unit, length] = UNITS.find(([, size]) => ms >= size) ?? ['s', 1_000];
  return `${String(Math.max(0, Math.floor(ms / length)))}${unit}`;
}

/** Columns as wide as they need to be; the last one is as it is. */
function print(rows: readonly (readonly string[])[]): void {
  const cells = rows.map((row) => row.map(plain));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of cells) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
    process.stdout.write(`${line.trimEnd()}\n`);
  }
}

/** What others have sent, on one line and without a word to the terminal. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
}
