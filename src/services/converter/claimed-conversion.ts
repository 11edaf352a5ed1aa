import { setTimeout as delay } from 'node:timers/promises';
import { fail, failureOf, finish, handBack, type Conversion } from '../../domain/conversion.ts';
import { asAudiowaveError, hasCode, isAway, type AudiowaveError } from '../../domain/errors.ts';
import { announceOrLeave } from '../../flow/announce.ts';
import { keepLease } from '../../flow/lease-keeper.ts';
import type { Verdict } from '../../ports/broker.ts';
import type { ConverterDeps, ConverterOptions } from './converter.ts';
import { encodeVideo, type EncodedVideo } from './encode-video.ts';
import { backoffMs } from './retries.ts';

/** One claimed conversion, with what its steps need. */
interface Claimed {
  readonly deps: ConverterDeps;
  readonly options: ConverterOptions;
  readonly conversion: Conversion;
  /** Of this attempt's lease. */
  readonly holder: string;
  /** Aborted when this process must hand back what runs. */
  readonly drain: AbortSignal;
  readonly startedAt: number;
}

/** Does a conversion that we have claimed, to its end, and says what becomes of its message. */
export async function convertClaimed(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  drain: AbortSignal,
): Promise<Verdict> {
  const holder = conversion.lease?.holder ?? '';
  const claimed: Claimed = { deps, options, conversion, holder, drain, startedAt: Date.now() };
  const keeper = keepLease(deps.conversions, conversion, { ...options, outlivesStore: false }, deps.log);
  try {
    const encoded = await encodeVideo(deps, conversion, {
      signal: AbortSignal.any([keeper.lost, drain]),
      onProgress: (share) => {
        keeper.progress(share);
      },
    });
    await keeper.stop();
    return await succeed(claimed, encoded);
  } catch (error) {
    await keeper.stop();
    if (keeper.lost.aborted) return stopLost(claimed, keeper.lost.reason as AudiowaveError);
    if (drain.aborted) return giveBack(claimed, 'this converter stops', 0);
    return failOrRetry(claimed, error);
  }
}

async function succeed(claimed: Claimed, encoded: EncodedVideo): Promise<Verdict> {
  const { deps, options, conversion, holder } = claimed;
  const { mp3Fid, mp3Bytes, durationMs, incomplete } = encoded;
  const result = { mp3Fid, mp3Bytes, durationMs, incomplete };
  const ready = await deps.conversions.update(conversion.id, (current) =>
    finish(current, holder, result, Date.now()),
  );
  if (ready === undefined) {
    // Cancelled, or taken over after a long pause of ours: this MP3 is nobody's.
    await deps.mp3s.remove(mp3Fid);
    return { kind: 'done' };
  }
  deps.log.info({ ...encoded, soundMs: durationMs, ...factsOf(claimed) }, 'conversion ready');
  await announceOrLeave({ ...deps, queues: options.queues }, ready, 'mp3', deps.log);
  return { kind: 'done' };
}

async function stopLost(claimed: Claimed, reason: AudiowaveError): Promise<Verdict> {
  if (isAway(reason)) return pause(claimed, reason);
  claimed.deps.log.info(factsOf(claimed), 'conversion stopped: no longer ours');
  return { kind: 'done' };
}

async function failOrRetry(claimed: Claimed, cause: unknown): Promise<Verdict> {
  const { deps, options, conversion, holder } = claimed;
  const error = asAudiowaveError(cause, 'audio.encoder-failed');
  if (isAway(error)) return pause(claimed, error);
  const facts = { ...factsOf(claimed), code: error.code, detail: error.detail };
  if (error.retryable && conversion.attempts < options.maxAttempts) {
    deps.log.warn({ ...facts, err: cause }, 'conversion will be tried again');
    await deps.conversions.update(conversion.id, (current) => handBack(current, holder, true, Date.now()));
    return { kind: 'retry', reason: error.code, delayMs: backoffMs(conversion.attempts) };
  }
  const failure = failureOf(error);
  const failed = await deps.conversions.update(conversion.id, (current) =>
    fail(current, holder, failure, Date.now()),
  );
  if (failed === undefined) return { kind: 'done' };
  deps.log.info(facts, 'conversion failed');
  await announceOrLeave({ ...deps, queues: options.queues }, failed, 'failed', deps.log);
  // What was tried again and again is a dead letter for the operator; what can't ever work is only its owner's affair.
  return error.retryable ? { kind: 'reject', reason: error.code } : { kind: 'done' };
}

function pause(claimed: Claimed, cause: AudiowaveError): Promise<Verdict> {
  const { log } = claimed.deps;
  log.warn({ ...factsOf(claimed), code: cause.code, err: cause }, 'conversion paused: a dependency is away');
  return giveBack(claimed, cause.code, claimed.options.pauseMs);
}

/**
 * Hands the attempt back uncounted. While the store of records is away the delivery is held: there is no other work
 * that could be done, and an attempt that nobody gives back would count.
 */
async function giveBack(claimed: Claimed, reason: string, delayMs: number): Promise<Verdict> {
  const { deps, options, conversion, holder, drain } = claimed;
  for (;;) {
    try {
      await deps.conversions.update(conversion.id, (current) => handBack(current, holder, false, Date.now()));
      break;
    } catch (error) {
      if (!hasCode(error, 'store.unavailable') || drain.aborted) throw error;
    }
    await delay(options.renewMs, undefined, { signal: drain }).catch(() => undefined);
  }
  return { kind: 'retry', reason, delayMs, counted: false };
}

function factsOf({ conversion, startedAt }: Claimed): Readonly<Record<string, unknown>> {
  return {
    conversionId: conversion.id,
    attempt: conversion.attempts,
    durationMs: Date.now() - startedAt,
  };
}
