import { fail, failureOf, finish, handBack, type Conversion } from '../../domain/conversion.ts';
import { asAudiowaveError, isAway, type AudiowaveError } from '../../domain/errors.ts';
import { isForgotten } from '../../domain/forgotten.ts';
import type { FileId } from '../../domain/ids.ts';
import { keepLease } from '../../flow/lease-keeper.ts';
import { tryWhileAway } from '../../flow/while-away.ts';
import type { Verdict } from '../../ports/broker.ts';
import type { Change } from '../../ports/conversion-store.ts';
import type { ConverterContext, ConverterOptions } from './converter.ts';
import { encodeVideo, type EncodedVideo } from './encode-video.ts';
import { backoffMs } from './retries.ts';

/** One claimed conversion, with what its steps need. */
interface Claimed {
  readonly deps: ConverterContext;
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
  deps: ConverterContext,
  options: ConverterOptions,
  conversion: Conversion,
  drain: AbortSignal,
): Promise<Verdict> {
  const holder = conversion.lease?.holder ?? '';
  const claimed: Claimed = { deps, options, conversion, holder, drain, startedAt: Date.now() };
  const keeper = keepLease(deps.conversions, conversion, options, deps.log);
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
    if (keeper.lost.aborted) {
      deps.log.info(factsOf(claimed), 'conversion stopped: no longer ours');
      return { kind: 'done' };
    }
    if (drain.aborted) return giveBack(claimed, 'this converter stops', 0);
    return failOrRetry(claimed, error);
  }
}

async function succeed(claimed: Claimed, encoded: EncodedVideo): Promise<Verdict> {
  const { deps, holder } = claimed;
  const { mp3Fid, mp3Bytes, durationMs, incomplete } = encoded;
  const result = { mp3Fid, mp3Bytes, durationMs, incomplete };
  const ready = await writeDown(claimed, (current) => {
    // Ready already, where the answer to the same write got lost.
    if (current.mp3Fid === mp3Fid && !isForgotten(current)) return current;
    return finish(current, holder, result, Date.now());
  });
  if (ready === undefined) {
    await removeOwn(claimed, mp3Fid);
    return { kind: 'done' };
  }
  deps.log.info({ ...encoded, soundMs: durationMs, ...factsOf(claimed) }, 'conversion ready');
  await deps.announcer.announceOrLeave(ready, 'mp3');
  return { kind: 'done' };
}

/** Cancelled, or taken over after a long pause of ours: this MP3 is nobody's. The record names it as a draft until it is gone. */
async function removeOwn({ deps, conversion }: Claimed, mp3Fid: FileId): Promise<void> {
  try {
    await deps.mp3s.remove(mp3Fid);
  } catch (error) {
    deps.log.warn({ err: error, conversionId: conversion.id }, 'draft left to the sweeper');
  }
}

/** What no second try can mend: what the engine says of the video, and that there is none. */
function isFinal(error: AudiowaveError): boolean {
  return !error.retryable && (error.code.startsWith('audio.') || error.code === 'file.unknown');
}

async function failOrRetry(claimed: Claimed, cause: unknown): Promise<Verdict> {
  const { deps, options, conversion, holder } = claimed;
  const error = asAudiowaveError(cause, 'audio.encoder-failed');
  if (isAway(error)) return pause(claimed, error);
  const facts = { ...factsOf(claimed), code: error.code, detail: error.detail };
  if (!isFinal(error) && conversion.attempts < options.maxAttempts) {
    deps.log.warn({ ...facts, err: cause }, 'conversion will be tried again');
    await writeDown(claimed, (current) => handBack(current, holder, true, Date.now()));
    return { kind: 'retry', reason: error.code, delayMs: backoffMs(conversion.attempts) };
  }
  const failure = failureOf(error);
  const failed = await writeDown(claimed, (current) => fail(current, holder, failure, Date.now()));
  if (failed === undefined) return { kind: 'done' };
  deps.log.info(facts, 'conversion failed');
  await deps.announcer.announceOrLeave(failed, 'failed');
  // What was tried again and again is a dead letter for the operator; what can't ever work is only its owner's affair.
  return isFinal(error) ? { kind: 'done' } : { kind: 'reject', reason: error.code };
}

function pause(claimed: Claimed, cause: AudiowaveError): Promise<Verdict> {
  const { log } = claimed.deps;
  log.warn({ ...factsOf(claimed), code: cause.code, err: cause }, 'conversion paused: a dependency is away');
  return giveBack(claimed, cause.code, claimed.options.pauseMs);
}

/** Hands the attempt back uncounted. */
async function giveBack(claimed: Claimed, reason: string, delayMs: number): Promise<Verdict> {
  await writeDown(claimed, (current) => handBack(current, claimed.holder, false, Date.now()));
  return { kind: 'retry', reason, delayMs, counted: false };
}

/**
 * Writes down what became of the attempt. While the store of records is away the delivery is held and the write tried
 * again, for as long as this process may stay: there is no other work that could be done, an MP3 that is whole needs not
 * be made again, and an attempt that nobody gives back would count. `change` may find that it was applied before.
 */
function writeDown(claimed: Claimed, change: Change): Promise<Conversion | undefined> {
  const { deps, options, conversion, drain } = claimed;
  return tryWhileAway(() => deps.conversions.update(conversion.id, change), {
    everyMs: options.renewMs,
    signal: drain,
    onAway: (error) => {
      deps.log.warn({ ...factsOf(claimed), err: error }, 'end of an attempt not recorded; trying again');
    },
  });
}

function factsOf({ conversion, startedAt }: Claimed): Readonly<Record<string, unknown>> {
  return {
    conversionId: conversion.id,
    attempt: conversion.attempts,
    durationMs: Date.now() - startedAt,
  };
}
