import type { Conversion } from '../../../domain/conversion.ts';
import { isAway } from '../../../domain/errors.ts';
import type { SweepContext } from './sweep-context.ts';

const PAGE = 100;
const AT_ONCE = 8;

/**
 * Handles each record that `find` gives, some at the same time, until nothing new comes, the step's time is over or the
 * sweeper stops; the next run goes on. Each once: a record that stays due must not hold up the others, nor must one whose
 * handling fails. An outage ends it, with its error.
 */
export async function eachDue(
  { deps, options, stopping }: SweepContext,
  find: (limit: number) => Promise<readonly Conversion[]>,
  handle: (conversion: Conversion) => Promise<void>,
): Promise<void> {
  const seen = new Set<string>();
  const end = Date.now() + options.stepMs;
  const isOver = (): boolean => stopping.aborted || Date.now() >= end;
  let stillDue = 0;
  while (!isOver()) {
    const limit = stillDue + PAGE;
    const page = await find(limit);
    const fresh = page.filter(({ id }) => !seen.has(id));
    stillDue = page.length - fresh.length;
    for (const { id } of fresh) seen.add(id);
    await handleAll(shuffled(fresh), isOver, async (conversion) => {
      try {
        await handle(conversion);
      } catch (error) {
        if (isAway(error)) throw error;
        deps.log.warn({ err: error, conversionId: conversion.id }, 'not swept');
      }
    });
    if (page.length < limit) return;
  }
}

async function handleAll(
  conversions: readonly Conversion[],
  isOver: () => boolean,
  handle: (conversion: Conversion) => Promise<void>,
): Promise<void> {
  const left = [...conversions];
  let isBroken = false;
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined && !isBroken && !isOver(); next = left.pop()) {
      try {
        await handle(next);
      } catch (error) {
        isBroken = true;
        throw error;
      }
    }
  };
  // The first one alone: it finds out whether there is an outage.
  const first = left.pop();
  if (first !== undefined) await handle(first);
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** In no order: sweepers of several gateways seldom handle the same record at the same time. */
function shuffled(conversions: readonly Conversion[]): readonly Conversion[] {
  return conversions
    .map((conversion) => ({ conversion, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ conversion }) => conversion);
}
