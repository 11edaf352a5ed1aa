import type { ConsumeOptions, Verdict } from './broker.ts';

/** What a verdict means for the message, by the promises of {@link Broker}. */
export type Outcome =
  | { readonly kind: 'forget' }
  | { readonly kind: 'redeliver'; readonly delayMs: number; readonly counted: boolean }
  | { readonly kind: 'bury'; readonly reason: string };

/** A message goes back as if it had not been delivered. */
export const HANDED_BACK: Outcome = { kind: 'redeliver', delayMs: 0, counted: false };

const REASON_LENGTH = 1_000;

/** The outcome of a verdict on the delivery number `attempt`; the same in every adapter. */
export function outcomeOf(
  verdict: Verdict,
  attempt: number,
  options: Pick<ConsumeOptions, 'maxAttempts' | 'backoffMs'>,
): Outcome {
  if (verdict.kind === 'done') return { kind: 'forget' };
  const reason = verdict.reason.slice(0, REASON_LENGTH);
  if (verdict.kind === 'reject') return { kind: 'bury', reason };
  const counted = verdict.counted ?? true;
  if (counted && attempt >= options.maxAttempts) return { kind: 'bury', reason };
  const delayMs = verdict.delayMs ?? options.backoffMs(attempt);
  return { kind: 'redeliver', delayMs: Number.isFinite(delayMs) ? Math.max(0, delayMs) : 0, counted };
}

/** A handler that throws asks for another attempt, which counts. */
export function verdictOfThrown(error: unknown): Verdict {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { kind: 'retry', reason };
}
