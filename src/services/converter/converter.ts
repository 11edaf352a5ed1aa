import { asAudiowaveError, hasCode, isAway } from '../../domain/errors.ts';
import { parseMessage, VideoUploaded } from '../../domain/messages.ts';
import type { QueueNames } from '../../flow/announce.ts';
import { PatientAnnouncer } from '../../flow/patient-announcer.ts';
import type { AudioEngine } from '../../ports/audio-engine.ts';
import type { Broker, Consumer, Delivery, Verdict } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { RunningRole } from '../../ports/role.ts';
import { admit } from './admission.ts';
import { convertClaimed } from './claimed-conversion.ts';
import { backoffMs } from './retries.ts';

export interface ConverterDeps {
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: Broker;
  readonly engine: AudioEngine;
  readonly log: Logger;
}

/** What the steps of a conversion work with. */
export interface ConverterContext extends ConverterDeps {
  readonly announcer: PatientAnnouncer;
}

export interface ConverterOptions {
  readonly queues: QueueNames;
  /** The most conversions at the same time in this process. */
  readonly concurrency: number;
  /** After so many begun attempts a conversion has failed. */
  readonly maxAttempts: number;
  /** How long a conversion is left alone after its converter was last heard of. */
  readonly leaseMs: number;
  /** How often a converter looks whether its conversion was cancelled, and tells its progress. */
  readonly renewMs: number;
  /** How long to wait before a message is tried again while a store or the broker is away. */
  readonly pauseMs: number;
  /** Unique to this process. */
  readonly holder: string;
}

// Attempts are counted in the conversion's record, which knows what no broker does: whether a converter began. The
// broker's own limit only catches a message that kills its consumer before the record is reached.
const BROKER_ATTEMPTS = 100;

/** Starts the converter: queue `video` → MP3 → queue `mp3`. */
export async function startConverter(deps: ConverterDeps, options: ConverterOptions): Promise<RunningRole> {
  const announcer = new PatientAnnouncer({ ...deps, queues: options.queues }, deps.log);
  const context: ConverterContext = { ...deps, announcer };
  const consumer: Consumer = await deps.broker.consume(
    options.queues.video,
    { prefetch: options.concurrency, maxAttempts: BROKER_ATTEMPTS, backoffMs },
    (delivery) => handle(context, options, delivery),
  );
  return {
    stop: async (graceMs) => {
      await consumer.stop(graceMs);
      await announcer.settled();
    },
  };
}

async function handle(
  deps: ConverterContext,
  options: ConverterOptions,
  delivery: Delivery,
): Promise<Verdict> {
  try {
    const message = parseMessage(VideoUploaded, delivery.body);
    const admission = await admit(deps, options, message, delivery);
    if (admission.kind === 'verdict') return admission.verdict;
    return await convertClaimed(deps, options, admission.conversion, delivery.signal);
  } catch (error) {
    return verdictOf(deps, options, delivery, error);
  }
}

/** Only what could not be written into the record comes here. */
function verdictOf(
  deps: ConverterDeps,
  options: ConverterOptions,
  delivery: Delivery,
  error: unknown,
): Verdict {
  const known = asAudiowaveError(error);
  const { messageId } = delivery;
  if (hasCode(error, 'broker.malformed-message', 'file.unknown')) {
    const reason = `${known.code}: ${known.detail ?? known.message}`;
    // Somebody else's mistake: thousands of them must not bury what is wrong here.
    deps.log.warn({ messageId, reason }, 'message refused');
    return { kind: 'reject', reason };
  }
  deps.log.error({ err: error, code: known.code, messageId }, 'conversion interrupted');
  return isAway(error)
    ? { kind: 'retry', reason: known.code, delayMs: options.pauseMs, counted: false }
    : { kind: 'retry', reason: known.code };
}
