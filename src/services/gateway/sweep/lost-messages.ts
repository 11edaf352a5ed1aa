import { awaitedMessage } from '../../../domain/conversion-record.ts';
import type { Announcement } from '../../../domain/conversion.ts';
import { oweLostMessage } from '../../../domain/reopen.ts';
import { queueOf } from '../../../flow/announce.ts';
import { eachDue } from './each-due.ts';
import type { SweepContext } from './sweep-context.ts';

/**
 * Announces anew what a queue has lost: it was purged or deleted, its broker came back without its data, or a limit of
 * the queue dropped the message. A queue in which anything waits is left alone; one that is empty while a record waits
 * has lost its message, or a consumer of a broker that can't tell holds it, and tolerates a repeat.
 */
export async function announceLost(context: SweepContext): Promise<void> {
  await announceLostOf(context, 'conversion', ['video']);
  await announceLostOf(context, 'mail', ['mp3', 'failed']);
}

async function announceLostOf(
  context: SweepContext,
  kind: 'conversion' | 'mail',
  announcements: readonly Announcement[],
): Promise<void> {
  const { deps, options, announcer, report, stopping } = context;
  const now = options.now();
  const before = now - options.lostAfterMs;
  if ((await deps.conversions.awaiting(kind, before, 1)).length === 0) return;
  const empty = new Set<Announcement>();
  for (const announcement of announcements) {
    const { waiting, unacknowledged } = await deps.broker.depth(queueOf(deps.queues, announcement));
    if (waiting === 0 && (unacknowledged ?? 0) === 0) empty.add(announcement);
  }
  if (empty.size === 0) return;
  await eachDue(
    context,
    (limit) => deps.conversions.awaiting(kind, before, limit),
    async (conversion) => {
      const announcement = awaitedMessage(conversion);
      if (announcement === undefined || !empty.has(announcement)) return;
      const owing = await deps.conversions.update(conversion.id, (c) => oweLostMessage(c, before, now));
      if (owing === undefined) return;
      report.lost += 1;
      deps.log.warn({ conversionId: conversion.id, announcement }, 'message lost; announced anew');
      await announcer.announceOrLeave(owing, announcement, stopping);
    },
  );
}
