import { settleMail, type Conversion } from '../../domain/conversion.ts';
import { asAudiowaveError, hasCode } from '../../domain/errors.ts';
import { FAILED_QUEUE } from '../../domain/messages.ts';
import type { QueueNames } from '../../flow/announce.ts';
import type { Broker, Consumer, Delivery, Verdict } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Mailer } from '../../ports/mailer.ts';
import type { RunningRole } from '../../ports/role.ts';
import { composeFailureMail, composeReadyMail } from './compose.ts';
import { mintLink } from './link.ts';
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
  const consumers: Consumer[] = [];
  for (const [queue, find] of [
    [options.queues.mp3, findReady],
    [FAILED_QUEUE, findFailed],
  ] as const) {
    const consume = {
      prefetch: options.concurrency,
      maxAttempts: BROKER_ATTEMPTS,
      backoffMs: (n: number) => Math.min(300_000, 1_000 * 2 ** n),
    };
    consumers.push(
      await deps.broker.consume(queue, consume, (delivery) => handle(deps, options, delivery, find)),
    );
  }
  return {
    stop: async (graceMs) => {
      await Promise.all(consumers.map((consumer) => consumer.stop(graceMs)));
    },
  };
}

type Find = typeof findReady;

async function handle(
  deps: NotificationDeps,
  options: NotificationOptions,
  delivery: Delivery,
  find: Find,
): Promise<Verdict> {
  const startedAt = Date.now();
  try {
    const conversion = await find(deps.conversions, delivery.body);
    if (conversion?.mail !== 'due') return { kind: 'done' };
    await notify(deps, options, conversion, delivery.signal);
    deps.log.info(
      { conversionId: conversion.id, state: conversion.state, durationMs: Date.now() - startedAt },
      'mail sent',
    );
    return { kind: 'done' };
  } catch (error) {
    return verdictOf(deps, options, delivery, error);
  }
}

async function notify(
  deps: NotificationDeps,
  options: NotificationOptions,
  conversion: Conversion,
  signal: AbortSignal,
): Promise<void> {
  try {
    const mail =
      conversion.state === 'ready'
        ? composeReadyMail(conversion, await mintLink(deps.conversions, conversion, options), options)
        : composeFailureMail(conversion, options);
    await deps.mailer.send(mail, { signal });
  } catch (error) {
    if (hasCode(error, 'mail.malformed', 'mail.refused')) {
      await deps.conversions.update(conversion.id, (current) => settleMail(current, 'refused'));
    }
    throw error;
  }
  // A process that dies between these two lines sends the mail once more, with the same Message-ID.
  await deps.conversions.update(conversion.id, (current) => settleMail(current, 'sent'));
}

function verdictOf(
  deps: NotificationDeps,
  options: NotificationOptions,
  delivery: Delivery,
  error: unknown,
): Verdict {
  const known = asAudiowaveError(error);
  deps.log.warn({ err: error, code: known.code, messageId: delivery.messageId }, 'mail not sent');
  if (!known.retryable) return { kind: 'reject', reason: `${known.code}: ${known.detail ?? known.message}` };
  if (hasCode(error, 'mail.unavailable', 'store.unavailable', 'store.full', 'broker.unavailable')) {
    return { kind: 'retry', reason: known.code, delayMs: options.pauseMs, counted: false };
  }
  return { kind: 'retry', reason: known.code };
}
