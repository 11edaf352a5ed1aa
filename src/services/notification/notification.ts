import { settleMail, type Conversion } from '../../domain/conversion.ts';
import { asAudiowaveError, hasCode, isAway } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import type { Mail } from '../../domain/mail.ts';
import { FAILED_QUEUE } from '../../domain/messages.ts';
import type { QueueNames } from '../../flow/announce.ts';
import type { Broker, Consumer, Delivery, Verdict } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Mailer } from '../../ports/mailer.ts';
import type { RunningRole } from '../../ports/role.ts';
import { composeFailureMail, composeReadyMail } from './compose.ts';
import { MailLinks } from './link.ts';
import { findFailed, findReady } from './records.ts';

export interface NotificationDeps {
  readonly conversions: ConversionStore;
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
  /** How long to wait before the next try while the mail server or the store is away. */
  readonly pauseMs: number;
}

const BROKER_ATTEMPTS = 20;

/** Starts notification: queues `mp3` and `audiowave.failed` → mail. */
export async function startNotification(
  deps: NotificationDeps,
  options: NotificationOptions,
): Promise<RunningRole> {
  const context: Context = {
    ...deps,
    options,
    links: new MailLinks(deps.conversions, options),
    underWay: new Set(),
    sent: new Set(),
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
  readonly options: NotificationOptions;
  readonly links: MailLinks;
  /** Conversions whose mail this process sends at the moment: an announcement may come twice at the same time. */
  readonly underWay: Set<FileId>;
  /** Conversions whose mail is out, though the store could not note it yet. */
  readonly sent: Set<FileId>;
}

async function handle(context: Context, delivery: Delivery, find: typeof findReady): Promise<Verdict> {
  try {
    const conversion = await find(context.conversions, delivery.body, delivery.messageId);
    if (conversion?.mail !== 'due') return { kind: 'done' };
    if (context.underWay.has(conversion.id)) {
      return { kind: 'retry', reason: 'its mail is under way', delayMs: 1_000, counted: false };
    }
    context.underWay.add(conversion.id);
    try {
      await notify(context, conversion, delivery.signal);
    } finally {
      context.underWay.delete(conversion.id);
    }
    return { kind: 'done' };
  } catch (error) {
    return verdictOf(context, delivery, error);
  }
}

async function notify(context: Context, conversion: Conversion, signal: AbortSignal): Promise<void> {
  const { conversions, links, sent, log } = context;
  const { id, state } = conversion;
  const startedAt = Date.now();
  if (!sent.has(id)) {
    const mail = await compose(context, conversion);
    if (mail === undefined) {
      await conversions.update(id, (current) => settleMail(current, 'none'));
      log.info({ conversionId: id, state }, 'no mail: the MP3 was removed before');
      return;
    }
    await send(context, conversion, mail, signal);
    sent.add(id);
    links.forget(id);
  }
  // A process that dies before this line sends the mail once more, with the same Message-ID.
  await conversions.update(id, (current) => settleMail(current, 'sent'));
  sent.delete(id);
  log.info({ conversionId: id, state, durationMs: Date.now() - startedAt }, 'mail sent');
}

async function send(
  { mailer, conversions, links }: Context,
  { id }: Conversion,
  mail: Mail,
  signal: AbortSignal,
): Promise<void> {
  try {
    await mailer.send(mail, { signal });
  } catch (error) {
    if (hasCode(error, 'mail.malformed', 'mail.refused')) {
      links.forget(id);
      await conversions.update(id, (current) => settleMail(current, 'refused'));
    }
    throw error;
  }
}

async function compose({ links, options }: Context, conversion: Conversion): Promise<Mail | undefined> {
  if (conversion.state === 'failed') return composeFailureMail(conversion, options);
  const link = await links.linkOf(conversion);
  return link && composeReadyMail(conversion, link, options);
}

function verdictOf({ log, options }: Context, delivery: Delivery, error: unknown): Verdict {
  // A drain: what was told to stop has not failed.
  if (delivery.signal.aborted) return { kind: 'retry', reason: 'stopping', delayMs: 0, counted: false };
  const known = asAudiowaveError(error);
  log.warn({ err: error, code: known.code, messageId: delivery.messageId }, 'mail not sent');
  if (!known.retryable) return { kind: 'reject', reason: `${known.code}: ${known.detail ?? known.message}` };
  if (isAway(error)) {
    return { kind: 'retry', reason: known.code, delayMs: options.pauseMs, counted: false };
  }
  return { kind: 'retry', reason: known.code };
}
