import type { Announcement, Conversion } from '../../../domain/conversion.ts';
import { asAudiowaveError, hasCode } from '../../../domain/errors.ts';
import { announce } from '../../../flow/announce.ts';
import { eachDue } from './each-due.ts';
import type { SweepContext } from './sweep-context.ts';

const PUBLISH_DEADLINE_MS = 5_000;
const SHORTEST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 60_000;

/** Publishes what records owe to queues. While the broker is away it asks at growing intervals. */
export class AnnouncementSweep {
  #notBefore = 0;
  #backoffMs = 0;

  /** Everything that has been owed for a while: the one who owes it is tried first. */
  async run(context: SweepContext): Promise<void> {
    const { deps, options, stopping } = context;
    const now = options.now();
    if (now < this.#notBefore) return;
    const before = now - options.unpublishedAfterMs;
    try {
      await eachDue(
        context,
        (limit) => deps.conversions.unpublished(before, limit),
        async (conversion) => {
          for (const { announcement, since } of conversion.unpublished) {
            if (since < before) await this.#publish(context, conversion, announcement);
          }
        },
      );
      this.#backoffMs = 0;
    } catch (error) {
      if (stopping.aborted) return;
      this.#backoffMs = Math.min(LONGEST_BACKOFF_MS, Math.max(SHORTEST_BACKOFF_MS, this.#backoffMs * 2));
      this.#notBefore = now + this.#backoffMs;
      deps.log.warn(
        { err: error, retryMs: this.#backoffMs },
        'announcements wait until all that they need answers',
      );
    }
  }

  async #publish(context: SweepContext, conversion: Conversion, announcement: Announcement): Promise<void> {
    try {
      await announce(context.deps, conversion, announcement, publishSignal(context));
      context.report.published += 1;
    } catch (error) {
      // No broker ever takes this one; the others must not wait behind it.
      if (!hasCode(error, 'broker.malformed-message')) throw asAudiowaveError(error, 'broker.unavailable');
      context.deps.log.error({ err: error, conversionId: conversion.id, announcement }, 'not publishable');
    }
  }
}

function publishSignal({ stopping }: SweepContext): AbortSignal {
  return AbortSignal.any([stopping, AbortSignal.timeout(PUBLISH_DEADLINE_MS)]);
}
