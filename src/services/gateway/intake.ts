import { randomUUID } from 'node:crypto';
import { mayHaveUnknownVideo } from '../../domain/conversion-record.ts';
import {
  enqueue,
  fail,
  newConversion,
  type Conversion,
  type Failure,
  type Lease,
  type Source,
} from '../../domain/conversion.ts';
import { AudiowaveError, hasCode } from '../../domain/errors.ts';
import { handBackFetch, resumeFetch } from '../../domain/fetching.ts';
import { forget, isForgotten } from '../../domain/forgotten.ts';
import { mintFileId, type FileId } from '../../domain/ids.ts';
import { keepLease, type LeaseKeeper } from '../../flow/lease-keeper.ts';
import type { PatientAnnouncer } from '../../flow/patient-announcer.ts';
import { tryWhileAway } from '../../flow/while-away.ts';
import type { FileWriter } from '../../ports/file-store.ts';
import type { Run, RunningWork } from './running-work.ts';
import type { GatewayDeps, GatewaySettings } from './settings.ts';

export interface IntakeContext {
  readonly deps: GatewayDeps;
  readonly settings: GatewaySettings;
  readonly work: RunningWork;
  readonly announcer: PatientAnnouncer;
}

/** A whole video waits so long for records that are away; then its client may as well send it again. */
const ENQUEUE_PATIENCE_MS = 8_000;
const ENQUEUE_EVERY_MS = 500;

/**
 * The way of one video into the store: a record `uploading` or `fetching` under a lease, bytes, then `queued` and its
 * announcement. Whatever stops it on the way, discard() leaves nothing that could be taken for a whole upload.
 */
export class Intake {
  readonly id: FileId;
  readonly #holder: string;
  readonly #context: IntakeContext;
  readonly #run: Run;
  #keeper: LeaseKeeper | undefined;
  #writer: FileWriter | undefined;
  /** `committing`: nobody knows whether the file is whole; `enqueueing`: nor whether the record is queued. */
  #phase: 'new' | 'recorded' | 'committing' | 'committed' | 'enqueueing' | 'queued' = 'new';

  /** `stopped`: see {@link RunningWork.begin}. `id`: of a record that is there already, for {@link resume}. */
  constructor(context: IntakeContext, stopped: AudiowaveError, id?: FileId) {
    this.#context = context;
    this.id = id ?? mintFileId();
    const { holder } = context.settings;
    // The same process may come back to a fetch that it has lost.
    this.#holder = id === undefined ? holder : `${holder}-${randomUUID()}`;
    this.#run = context.work.begin(this.id, stopped);
  }

  /** Aborted when the owner cancels, the lease is lost or the gateway stops; its reason is an AudiowaveError. */
  get signal(): AbortSignal {
    return this.#run.signal;
  }

  /** Makes the record, and keeps its lease from now on. */
  async record(
    owner: string,
    state: 'uploading' | 'fetching',
    name: string | null,
    source: Source,
  ): Promise<Conversion> {
    const now = Date.now();
    const lease = this.#lease(now);
    const conversion = newConversion({ id: this.id, owner, state, name, source, lease, now });
    await this.#create(conversion);
    this.#keep(conversion);
    return conversion;
  }

  /**
   * Takes over a fetch whose lease has run out, and keeps it from now on; of several who try one gets it, the others
   * undefined. What former holders have written goes with the first byte of this one.
   */
  async resume(now: number): Promise<Conversion | undefined> {
    const resumed = await this.#context.deps.conversions.update(this.id, (c) =>
      resumeFetch(c, this.#lease(now), now),
    );
    if (resumed !== undefined) this.#keep(resumed);
    return resumed;
  }

  #lease(now: number): Lease {
    return { holder: this.#holder, until: now + this.#context.settings.leaseMs };
  }

  #keep(conversion: Conversion): void {
    const { deps, settings } = this.#context;
    this.#phase = 'recorded';
    const terms = { leaseMs: settings.leaseMs, renewMs: settings.leaseMs / 3 };
    const keeper = keepLease(deps.conversions, conversion, terms, deps.log);
    this.#keeper = keeper;
    keeper.lost.addEventListener('abort', () => {
      const reason: unknown = keeper.lost.reason;
      this.#run.abort(hasCode(reason, 'store.unavailable') ? reason : cancelled());
    });
  }

  async #create(conversion: Conversion): Promise<void> {
    try {
      await this.#context.deps.conversions.create(conversion);
    } catch (error) {
      // The id is this upload's own: its record is there already where a store repeated a write whose answer got lost.
      if (!hasCode(error, 'conversion.exists')) throw error;
    }
  }

  /** Nothing of what anybody has written under this id before is left, nor can come back. */
  async clear(): Promise<void> {
    const { videos } = this.#context.deps;
    await videos.abandon(this.id);
    await videos.remove(this.id);
  }

  /** Writes all of `bytes`; they are not visible before {@link enqueue}. */
  async write(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    this.#writer = await this.#context.deps.videos.create(this.id);
    for await (const chunk of bytes) {
      this.signal.throwIfAborted();
      await this.#writer.write(chunk);
    }
  }

  /**
   * The video is whole: commits its bytes and moves the record to `queued`; outlives a short outage of the records.
   * `audio.cancelled` where its owner has cancelled it, `store.unavailable` where it was swept.
   */
  async enqueue(name: string | null): Promise<Conversion> {
    this.signal.throwIfAborted();
    if (this.#writer === undefined)
      throw new AudiowaveError('internal.error', undefined, { detail: 'commit before write' });
    this.#phase = 'committing';
    const info = await this.#writer.commit();
    this.#phase = 'committed';
    await this.#keeper?.stop();
    this.#phase = 'enqueueing';
    const queued = await this.#enqueueWhileAway({ bytes: info.sizeBytes, name });
    if (queued === undefined) {
      this.#phase = 'committed';
      throw await this.#whyLost();
    }
    this.#phase = 'queued';
    return queued;
  }

  #enqueueWhileAway(video: { bytes: number; name: string | null }): Promise<Conversion | undefined> {
    const { deps } = this.#context;
    const move = (c: Conversion): Conversion | undefined =>
      // Queued already, where the answer to the same write got lost, or where another gateway has resumed the fetch.
      c.videoBytes !== null && c.state !== 'cancelled' ? c : enqueue(c, this.#holder, video, Date.now());
    return tryWhileAway(() => deps.conversions.update(this.id, move), {
      everyMs: ENQUEUE_EVERY_MS,
      until: Date.now() + ENQUEUE_PATIENCE_MS,
      signal: this.signal,
      onAway: (error) => {
        deps.log.warn({ err: error, conversionId: this.id }, 'upload not queued; trying again');
      },
    });
  }

  async #whyLost(): Promise<AudiowaveError> {
    const current = await this.#context.deps.conversions.find(this.id);
    const isOwners = current?.state === 'cancelled' && !isForgotten(current);
    const detail = 'the record was swept while the upload ran';
    return isOwners ? cancelled() : new AudiowaveError('store.unavailable', undefined, { detail });
  }

  /**
   * Moves a `fetching` record to `failed`, tells its owner and removes the bytes. A record that has gone on in spite of
   * an error keeps them. Throws where the records are away; the sweeper then does it when the lease has run out.
   */
  async fail(failure: Failure): Promise<void> {
    await this.#writer?.abort();
    const { conversions } = this.#context.deps;
    const failed = await conversions.update(this.id, (c) => fail(c, this.#holder, failure, Date.now()));
    const now = failed ?? (await conversions.find(this.id));
    // A video that the record knows of is that of a gateway that has resumed the fetch.
    if (now === undefined || mayHaveUnknownVideo(now)) await this.#discardBytes();
    if (failed !== undefined) await this.announce(failed, 'failed');
  }

  /**
   * Leaves a `fetching` record to whoever comes after `restMs`, and removes what is half-written. A record that is not (or
   * no longer) this attempt's stays as it is. Throws where the records are away; then the lease runs out by itself.
   */
  async handBack(restMs: number): Promise<void> {
    const { conversions } = this.#context.deps;
    await this.#keeper?.stop();
    const [moved] = await Promise.allSettled([
      conversions.update(this.id, (c) => handBackFetch(c, this.#holder, restMs, Date.now())),
      // Whoever resumes it takes away what stays.
      this.#writer?.abort(),
    ]);
    if (moved.status === 'rejected') throw moved.reason;
  }

  /** Publishes; where the broker does not take it, the record goes on owing it and the sweeper tries again. */
  announce(conversion: Conversion, announcement: 'video' | 'failed'): Promise<void> {
    return this.#context.announcer.announceOrLeave(conversion, announcement);
  }

  async #discardBytes(): Promise<void> {
    await this.#writer?.abort();
    if (this.#mayBeWhole()) await this.#context.deps.videos.remove(this.id);
  }

  #mayBeWhole(): boolean {
    return this.#phase === 'committing' || this.#phase === 'committed' || this.#phase === 'enqueueing';
  }

  /**
   * Leaves nothing: neither bytes nor record, except a record that its owner has cancelled. A failure is logged only:
   * another error is on its way to the client already, and what is left is swept when the lease has run out.
   */
  async discard(): Promise<void> {
    try {
      await this.#keeper?.stop();
      await this.#discardAll();
    } catch (error) {
      this.#context.deps.log.warn(
        { err: error, conversionId: this.id },
        'leftovers of an upload are swept later',
      );
    }
  }

  async #discardAll(): Promise<void> {
    if (this.#phase === 'new' || this.#phase === 'queued') return;
    const { conversions } = this.#context.deps;
    if (this.#mayBeWhole()) {
      // The record first: it must not become queued, or stay so, without its bytes, and it goes on naming them.
      await conversions.update(this.id, (c) => (c.state === 'cancelled' ? undefined : forget(c, Date.now())));
      await this.#discardBytes();
      // A commit whose answer got lost may still take effect: the sweeper then removes its file with the record.
      if (this.#phase !== 'committing') await this.#removeRecord();
    } else {
      await this.#writer?.abort();
      await this.#removeRecord();
    }
  }

  async #removeRecord(): Promise<void> {
    const { conversions } = this.#context.deps;
    const current = await conversions.find(this.id);
    if (current === undefined) return;
    if (current.state !== 'cancelled' || isForgotten(current)) await conversions.remove(this.id);
  }

  /** Lets go of lease and registry. To be called last, whatever happened. */
  async end(): Promise<void> {
    await this.#keeper?.stop();
    this.#run.end();
  }
}

function cancelled(): AudiowaveError {
  return new AudiowaveError('audio.cancelled', 'The upload was cancelled.');
}
