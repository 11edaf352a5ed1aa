import { fail, finish, handBack, type Conversion } from '../../domain/conversion.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../../domain/audio-options.ts';
import { asAudiowaveError, AudiowaveError, hasCode } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { announce } from '../../flow/announce.ts';
import type { AudioResult, AudioSource } from '../../ports/audio-engine.ts';
import type { Verdict } from '../../ports/broker.ts';
import type { FileStore } from '../../ports/file-store.ts';
import type { ConverterDeps, ConverterOptions } from './converter.ts';
import { backoffMs } from './converter.ts';
import { keepLease, type LeaseKeeper } from './lease-keeper.ts';

interface Encoded extends AudioResult {
  readonly mp3Fid: FileId;
}

/** Does a conversion that we have claimed, to its end, and says what becomes of its message. */
export async function convertClaimed(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  drain: AbortSignal,
): Promise<Verdict> {
  const startedAt = Date.now();
  const keeper = keepLease(
    deps.conversions,
    conversion,
    { ...options, holder: holderOf(conversion) },
    deps.log,
  );
  try {
    const encoded = await encode(deps, conversion, keeper, drain);
    await keeper.stop();
    return await succeed(deps, options, conversion, encoded, startedAt);
  } catch (error) {
    await keeper.stop();
    if (keeper.lost.aborted) {
      deps.log.info(
        { conversionId: conversion.id, durationMs: Date.now() - startedAt },
        'conversion stopped: no longer ours',
      );
      return { kind: 'done' };
    }
    if (drain.aborted) return giveBack(deps, conversion, 'this converter stops', 0);
    return failOrRetry(deps, options, conversion, error, startedAt);
  }
}

/** The holder of this attempt's lease. */
function holderOf(claimed: Conversion): string {
  return claimed.lease?.holder ?? '';
}

/** The MP3 is whole in the store when this resolves, and nothing of it is left when it fails. */
async function encode(
  deps: ConverterDeps,
  conversion: Conversion,
  keeper: LeaseKeeper,
  drain: AbortSignal,
): Promise<Encoded> {
  const mp3Fid = conversion.draftMp3Fid;
  if (mp3Fid === null)
    throw new AudiowaveError('internal.error', undefined, { detail: 'claimed without a draft' });
  const source = await openSource(deps.videos, conversion.id);
  const signal = AbortSignal.any([keeper.lost, drain]);
  const sink = await deps.mp3s.create(mp3Fid, { signal });
  try {
    const result = await deps.engine.convert({
      source,
      sink,
      options: DEFAULT_AUDIO_OPTIONS,
      tags: conversion.name === null ? {} : { title: titleOf(conversion.name) },
      signal,
      onProgress: (share) => {
        keeper.progress(share);
      },
    });
    signal.throwIfAborted();
    await sink.commit();
    return { ...result, mp3Fid };
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

async function openSource(videos: FileStore, id: FileId): Promise<AudioSource> {
  const info = await videos.stat(id);
  if (info === undefined) {
    throw new AudiowaveError('file.unknown', 'The video is no longer in the store; upload it again.');
  }
  const localPath = await videos.localPath?.(id);
  return {
    sizeBytes: info.sizeBytes,
    read: (range) => videos.read(id, range ?? {}),
    ...(localPath === undefined ? {} : { localPath }),
  };
}

/** The name of the file without its ending. */
function titleOf(name: string): string {
  return name.replace(/\.[^.\s]{1,5}$/u, '');
}

async function succeed(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  encoded: Encoded,
  startedAt: number,
): Promise<Verdict> {
  const { mp3Fid, mp3Bytes, durationMs, incomplete } = encoded;
  const result = { mp3Fid, mp3Bytes, durationMs, incomplete };
  const ready = await deps.conversions.update(conversion.id, (current) =>
    finish(current, holderOf(conversion), result, Date.now()),
  );
  if (ready === undefined) {
    // Cancelled, or taken over after a long pause of ours: this MP3 is nobody's.
    await deps.mp3s.remove(mp3Fid);
    return { kind: 'done' };
  }
  deps.log.info(
    {
      conversionId: conversion.id,
      ...encoded,
      attempt: conversion.attempts,
      soundMs: durationMs,
      durationMs: Date.now() - startedAt,
    },
    'conversion ready',
  );
  await announceOrLeave(deps, options, ready, 'mp3');
  return { kind: 'done' };
}

/** The record owes the announcement; where the broker is away the sweeper publishes it later. */
async function announceOrLeave(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  announcement: 'mp3' | 'failed',
): Promise<void> {
  try {
    await announce({ ...deps, queues: options.queues }, conversion, announcement);
  } catch (error) {
    deps.log.warn(
      { err: error, conversionId: conversion.id, announcement },
      'announcement left to the sweeper',
    );
  }
}

async function failOrRetry(
  deps: ConverterDeps,
  options: ConverterOptions,
  conversion: Conversion,
  cause: unknown,
  startedAt: number,
): Promise<Verdict> {
  const error = asAudiowaveError(cause, 'audio.encoder-failed');
  const fields = {
    conversionId: conversion.id,
    code: error.code,
    detail: error.detail,
    attempt: conversion.attempts,
    durationMs: Date.now() - startedAt,
  };
  if (hasCode(cause, 'store.unavailable', 'store.full', 'broker.unavailable')) {
    deps.log.warn({ ...fields, err: cause }, 'conversion paused: a dependency is away');
    return giveBack(deps, conversion, error.code, options.pauseMs);
  }
  if (error.retryable && conversion.attempts < options.maxAttempts) {
    deps.log.warn({ ...fields, err: cause }, 'conversion will be tried again');
    await deps.conversions.update(conversion.id, (current) =>
      handBack(current, holderOf(conversion), true, Date.now()),
    );
    return { kind: 'retry', reason: error.code, delayMs: backoffMs(conversion.attempts) };
  }
  const failure = { code: error.code, message: error.message };
  const failed = await deps.conversions.update(conversion.id, (current) =>
    fail(current, holderOf(conversion), failure, Date.now()),
  );
  deps.log.info(fields, 'conversion failed');
  if (failed !== undefined) await announceOrLeave(deps, options, failed, 'failed');
  // What was tried again and again is a dead letter for the operator; what can't ever work is only its owner's affair.
  return error.retryable ? { kind: 'reject', reason: error.code } : { kind: 'done' };
}

async function giveBack(
  deps: ConverterDeps,
  conversion: Conversion,
  reason: string,
  delayMs: number,
): Promise<Verdict> {
  await deps.conversions.update(conversion.id, (current) =>
    handBack(current, holderOf(conversion), false, Date.now()),
  );
  return { kind: 'retry', reason, delayMs, counted: false };
}
