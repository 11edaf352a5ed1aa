import {
  enqueue,
  fail,
  newConversion,
  type Conversion,
  type Failure,
  type Source,
} from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { mintFileId, type FileId } from '../../domain/ids.ts';
import { announceOrLeave } from '../../flow/announce.ts';
import { keepLease, type LeaseKeeper } from '../../flow/lease-keeper.ts';
import type { FileInfo, FileWriter } from '../../ports/file-store.ts';
import type { Run, RunningWork } from './running-work.ts';
import type { GatewayDeps, GatewaySettings } from './settings.ts';

export interface IntakeContext {
  readonly deps: GatewayDeps;
  readonly settings: GatewaySettings;
  readonly work: RunningWork;
}

const PUBLISH_DEADLINE_MS = 5_000;

/**
 * The way of one video into the store: a record `uploading` or `fetching` under a lease, bytes, then `queued` and its
 * announcement. Whatever stops it on the way, discard() leaves nothing that could be taken for a whole upload.
 */
export class Intake {
  readonly id: FileId = mintFileId();
  readonly #context: IntakeContext;
  readonly #run: Run;
  #keeper: LeaseKeeper | undefined;
  #writer: FileWriter | undefined;
  #phase: 'new' | 'recorded' | 'committed' | 'enqueueing' | 'queued' = 'new';

  /** `stopped`: see {@link RunningWork.begin}. */
  constructor(context: IntakeContext, stopped: AudiowaveError) {
    this.#context = context;
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
    const { deps, settings } = this.#context;
    const now = Date.now();
    const lease = { holder: settings.holder, until: now + settings.leaseMs };
    const conversion = newConversion({ id: this.id, owner, state, name, source, lease, now });
    await deps.conversions.create(conversion);
    this.#phase = 'recorded';
    const terms = { leaseMs: settings.leaseMs, renewMs: settings.leaseMs / 3, outlivesStore: true };
    this.#keeper = keepLease(deps.conversions, conversion, terms, deps.log);
    this.#keeper.lost.addEventListener('abort', () => {
      this.#run.abort(new AudiowaveError('audio.cancelled', 'The upload was cancelled.'));
    });
    return conversion;
  }

  /** Writes all of `bytes`; they are not visible before {@link enqueue}. */
  async write(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    this.#writer = await this.#context.deps.videos.create(this.id);
    for await (const chunk of bytes) {
      this.signal.throwIfAborted();
      await this.#writer.write(chunk);
    }
  }

  /** The video is whole: commits its bytes and moves the record to `queued`. `audio.cancelled` where it is not ours any more. */
  async enqueue(name: string | null): Promise<Conversion> {
    this.signal.throwIfAborted();
    const info = await this.#commit();
    await this.#keeper?.stop();
    const { conversions } = this.#context.deps;
    const { holder } = this.#context.settings;
    this.#phase = 'enqueueing';
    const video = { bytes: info.sizeBytes, name };
    const queued = await conversions.update(this.id, (c) => enqueue(c, holder, video, Date.now()));
    if (queued === undefined) {
      this.#phase = 'committed';
      throw new AudiowaveError('audio.cancelled', 'The upload was cancelled.');
    }
    this.#phase = 'queued';
    return queued;
  }

  async #commit(): Promise<FileInfo> {
    if (this.#writer === undefined)
      throw new AudiowaveError('internal.error', undefined, { detail: 'commit before write' });
    const info = await this.#writer.commit();
    this.#phase = 'committed';
    return info;
  }

  /**
   * Moves a `fetching` record to `failed`, tells its owner and removes the bytes. A record that has gone on in spite of
   * an error keeps them. Throws where the records are away; the sweeper then does it when the lease has run out.
   */
  async fail(failure: Failure): Promise<void> {
    await this.#writer?.abort();
    const { conversions } = this.#context.deps;
    const { holder } = this.#context.settings;
    const failed = await conversions.update(this.id, (c) => fail(c, holder, failure, Date.now()));
    const now = failed ?? (await conversions.find(this.id));
    if (now === undefined || now.state === 'failed' || now.state === 'cancelled') await this.#discardBytes();
    if (failed !== undefined) await this.announce(failed, 'failed');
  }

  /** Publishes; where the broker does not take it, the record goes on owing it and the sweeper tries again. */
  async announce(conversion: Conversion, announcement: 'video' | 'failed'): Promise<void> {
    const { deps, settings } = this.#context;
    const to = { ...deps, queues: settings.queues };
    await announceOrLeave(to, conversion, announcement, deps.log, AbortSignal.timeout(PUBLISH_DEADLINE_MS));
  }

  async #discardBytes(): Promise<void> {
    await this.#writer?.abort();
    if (this.#phase === 'committed' || this.#phase === 'enqueueing')
      await this.#context.deps.videos.remove(this.id);
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
    // Nobody knows whether the last write of the record arrived. The record goes first then: it must not stay queued
    // without its bytes.
    if (this.#phase === 'enqueueing') {
      await this.#removeRecord();
      await this.#discardBytes();
    } else {
      await this.#discardBytes();
      await this.#removeRecord();
    }
  }

  async #removeRecord(): Promise<void> {
    const { conversions } = this.#context.deps;
    const current = await conversions.find(this.id);
    if (current !== undefined && current.state !== 'cancelled') await conversions.remove(this.id);
  }

  /** Lets go of lease and registry. To be called last, whatever happened. */
  async end(): Promise<void> {
    await this.#keeper?.stop();
    this.#run.end();
  }
}
