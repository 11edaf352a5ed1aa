import { AudiowaveError, asAudiowaveError, isAway } from '../../domain/errors.ts';
import type { Conversion } from '../../domain/conversion.ts';
import { FAILED_QUEUE } from '../../domain/messages.ts';
import type { QueueNames } from '../../flow/announce.ts';
import type { Broker, Consumer, Delivery, Verdict } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Mailer } from '../../ports/mailer.ts';
import type { RunningRole } from '../../ports/role.ts';
import { Pauses } from './pauses.ts';
import { findFailed, findReady } from './records.ts';
import { MailSender } from './send-once.ts';

export interface NotificationDeps {
  readonly conversions: ConversionStore;
  /** Asked only for the MP3s of other implementations' converters. */
  readonly mp3s: Pick<FileStore, 'stat'>;
  readonly broker: Broker;
  readonly mailer: Mailer;
  readonly log: Logger;
}

export interface NotificationOptions {
  readonly queues: QueueNames;
  readonly mailFrom: string;
  /** Base of the links in mails, without a slash at its end. */
  readonly publicUrl: string;
  /** How long a one-click link works. */
  readonly linkTtlMs: number;
  /** The most mails under way at the same time. */
  readonly concurrency: number;
  /** The longest wait before the next try while the mail server or the store is away; the first one is a second. */
  readonly pauseMs: number;
  /** How long the others leave a mail alone that a process has begun to send; a minute where nothing is said. */
  readonly leaseMs?: number;
}

const BROKER_ATTEMPTS = 20;
const FIRST_PAUSE_MS = 1_000;
const JITTER_MS = 100;
// Longer than the longest send (45 s over SMTP).
const LEASE_MS = 60_000;

/** Starts notification: queues `mp3` and `audiowave.failed` → mail. */
export async function startNotification(
  deps: NotificationDeps,
  options: NotificationOptions,
): Promise<RunningRole> {
  const { leaseMs = LEASE_MS, pauseMs } = options;
  const noteEveryMs = Math.min(FIRST_PAUSE_MS, pauseMs);
  const context: Context = {
    ...deps,
    sender: new MailSender(deps, { ...options, leaseMs, noteEveryMs }),
    pauses: new Pauses({ firstMs: FIRST_PAUSE_MS, longestMs: pauseMs }),
    pauseMs,
  };
  const consumers: Consumer[] = [];
  const stop = async (graceMs: number): Promise<void> => {
    await Promise.all(consumers.map((consumer) => consumer.stop(graceMs)));
  };
  try {
    for (const [queue, find] of [
      [options.queues.mp3, findReady],
      [FAILED_QUEUE, findFailed],
    ] as const) {
      const limits = { prefetch: options.concurrency, maxAttempts: BROKER_ATTEMPTS, backoffMs };
      consumers.push(await deps.broker.consume(queue, limits, (delivery) => handle(context, delivery, find)));
    }
  } catch (error) {
    await stop(0);
    throw error;
  }
  return { stop };
}

function backoffMs(attempt: number): number {
  return Math.min(300_000, 1_000 * 2 ** attempt);
}

interface Context extends NotificationDeps {
  readonly sender: MailSender;
  readonly pauses: Pauses;
  readonly pauseMs: number;
}

async function handle(context: Context, delivery: Delivery, find: typeof findReady): Promise<Verdict> {
  let conversion: Conversion | undefined;
  try {
    conversion = await find(context, delivery.body, delivery.messageId);
    const busyUntil =
      conversion?.mail === 'due' ? await context.sender.send(conversion, delivery.signal) : undefined;
    context.pauses.forget(delivery.messageId);
    return busyUntil === undefined ? { kind: 'done' } : waitFor(context, busyUntil);
  } catch (error) {
    return verdictOf(context, delivery, error, conversion);
  }
}

/** Another process sends the mail, or has died over it. It may give it up before its lease ends, so not only then. */
function waitFor({ pauseMs }: Context, until: number): Verdict {
  const delayMs = Math.min(pauseMs, Math.max(0, until - Date.now())) + Math.random() * JITTER_MS;
  return { kind: 'retry', reason: 'another process sends its mail', delayMs, counted: false };
}

async function verdictOf(
  context: Context,
  delivery: Delivery,
  error: unknown,
  conversion: Conversion | undefined,
): Promise<Verdict> {
  const { log, pauses } = context;
  const { messageId, attempt, signal } = delivery;
  // A drain: what was told to stop has not failed.
  if (signal.aborted) return { kind: 'retry', reason: 'stopping', delayMs: 0, counted: false };
  const known = asAudiowaveError(error);
  const write = pauses.has(messageId) ? log.debug : log.warn;
  write.call(log, { err: error, code: known.code, messageId }, 'mail not sent');
  if (isAway(error)) {
    const pauseMs = Math.max(pauses.next(messageId, Date.now()), 1_000 * (known.retryAfterSeconds ?? 0));
    return { kind: 'retry', reason: known.code, delayMs: pauseMs, counted: false };
  }
  const reason = `${known.code}: ${known.detail ?? known.message}`;
  if (known.retryable && attempt < BROKER_ATTEMPTS) return { kind: 'retry', reason };
  pauses.forget(messageId);
  return bury(context, conversion, reason);
}

/** The message becomes a dead letter; its record then owes no mail, so that nothing waits for one for ever. */
async function bury(
  { sender }: Context,
  conversion: Conversion | undefined,
  reason: string,
): Promise<Verdict> {
  try {
    if (conversion?.mail === 'due') await sender.giveUp(conversion.id);
  } catch (error) {
    if (!(error instanceof AudiowaveError)) throw error;
    return { kind: 'retry', reason: error.code, delayMs: FIRST_PAUSE_MS, counted: false };
  }
  return { kind: 'reject', reason };
}
