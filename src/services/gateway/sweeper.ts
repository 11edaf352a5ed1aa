import {
  fail,
  reviveAbandoned,
  type Announcement,
  type Conversion,
  type Failure,
} from '../../domain/conversion.ts';
import { hasCode } from '../../domain/errors.ts';
import { announce, type QueueNames } from '../../flow/announce.ts';
import type { Broker } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { RunningRole } from '../../ports/role.ts';

export interface SweeperDeps {
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: Broker;
  readonly queues: QueueNames;
  readonly log: Logger;
}

export interface SweeperOptions {
  /** From the end of one run to the beginning of the next. */
  readonly intervalMs: number;
  /** How long a video stays after its conversion has ended. */
  readonly sourceRetentionMs: number;
  /** The same for an MP3; null: for ever. */
  readonly mp3RetentionMs: number | null;
  /** After so many attempts a conversion whose converter died again is failed. */
  readonly maxAttempts: number;
  /** How long an announcement is left to the one who owes it; 5,000 by default. */
  readonly unpublishedAfterMs?: number;
  /** How long a converter may be silent after its lease ran out; 15,000 by default. */
  readonly abandonedAfterMs?: number;
  /** The age at which a half-written file is nobody's; an hour by default. */
  readonly partialFileMs?: number;
  /** The clock; Date.now by default. */
  readonly now?: () => number;
}

/** What one run did. */
export interface SweepReport {
  published: number;
  /** Uploads that nobody finishes. */
  removedUploads: number;
  failed: number;
  revived: number;
  removedVideos: number;
  removedMp3s: number;
  removedPartials: number;
}

export interface Sweeper extends RunningRole {
  /** One run, now; waits for the one that runs. Problems are logged, and each step is tried in spite of the others. */
  runOnce(): Promise<SweepReport>;
}

const PAGE = 100;
const PUBLISH_DEADLINE_MS = 10_000;
const LONGEST_BACKOFF_MS = 60_000;
const PARTIALS_EVERY_MS = 600_000;
const TAKEOVER_MS = 60_000;

const FETCH_BROKEN_OFF: Failure = {
  code: 'import.failed',
  message: 'Audiowave was interrupted while it fetched the video. Please try again.',
};
const ABANDONED: Failure = {
  code: 'conversion.abandoned',
  message: 'The conversion was tried several times and never ended.',
};

/** Repairs what crashes left, and removes what retention says. Several processes may sweep the same stores. */
export function startSweeper(deps: SweeperDeps, options: SweeperOptions): Sweeper {
  const sweep = new Sweep(deps, options);
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();

  function runOnce(): Promise<SweepReport> {
    const run = running.then(() => sweep.run());
    running = run.catch(() => undefined);
    return run;
  }
  function arm(): void {
    timer = setTimeout(() => {
      void runOnce().then(() => {
        if (!stopped) arm();
      });
    }, options.intervalMs);
  }

  arm();
  return {
    runOnce,
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      sweep.stop();
      await running;
    },
  };
}

class Sweep {
  readonly #deps: SweeperDeps;
  readonly #options: Required<SweeperOptions>;
  readonly #holder = `sweeper-${crypto.randomUUID()}`;
  readonly #stopping = new AbortController();
  #report: SweepReport = emptyReport();
  #publishAfter = 0;
  #backoffMs = 0;
  #partialsAfter = 0;

  constructor(deps: SweeperDeps, options: SweeperOptions) {
    this.#deps = deps;
    const defaults = {
      unpublishedAfterMs: 5_000,
      abandonedAfterMs: 15_000,
      partialFileMs: 3_600_000,
      now: Date.now,
    };
    this.#options = { ...defaults, ...options };
  }

  stop(): void {
    this.#stopping.abort();
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async run(): Promise<SweepReport> {
    this.#report = emptyReport();
    await this.#step('leases', () => this.#sweepLeases());
    await this.#step('announcements', () => this.#publishOwed());
    await this.#step('videos', () => this.#retire('video', this.#options.sourceRetentionMs));
    const { mp3RetentionMs } = this.#options;
    if (mp3RetentionMs !== null) await this.#step('mp3s', () => this.#retire('mp3', mp3RetentionMs));
    await this.#step('partial files', () => this.#removePartials());
    if (Object.values(this.#report).some((count) => count > 0))
      this.#deps.log.info({ ...this.#report }, 'swept');
    return this.#report;
  }

  async #step(step: string, work: () => Promise<void>): Promise<void> {
    if (this.#isStopping()) return;
    try {
      await work();
    } catch (error) {
      this.#deps.log.warn({ err: error, step }, 'sweep not finished');
    }
  }

  /** Pages through what `find` gives until nothing new comes: a record that can't be handled must not hold up the others. */
  async #eachDue(
    find: (limit: number) => Promise<readonly Conversion[]>,
    handle: (conversion: Conversion) => Promise<void>,
  ): Promise<void> {
    const seen = new Set<string>();
    while (!this.#isStopping()) {
      const page = await find(seen.size + PAGE);
      const fresh = page.filter(({ id }) => !seen.has(id));
      for (const conversion of fresh) {
        if (this.#isStopping()) return;
        seen.add(conversion.id);
        await handle(conversion);
      }
      if (fresh.length < PAGE) return;
    }
  }

  async #publishOwed(): Promise<void> {
    const { conversions, log } = this.#deps;
    const now = this.#options.now();
    if (now < this.#publishAfter) return;
    const before = now - this.#options.unpublishedAfterMs;
    try {
      await this.#eachDue(
        (limit) => conversions.unpublished(before, limit),
        async (conversion) => {
          for (const { announcement, since } of conversion.unpublished) {
            if (since < before) await this.#publish(conversion, announcement);
          }
        },
      );
      this.#backoffMs = 0;
    } catch (error) {
      if (this.#isStopping()) return;
      this.#backoffMs = Math.min(LONGEST_BACKOFF_MS, Math.max(1_000, this.#backoffMs * 2));
      this.#publishAfter = now + this.#backoffMs;
      log.warn({ err: error, retryMs: this.#backoffMs }, 'announcements wait for the broker');
    }
  }

  async #publish(conversion: Conversion, announcement: Announcement): Promise<void> {
    try {
      await this.#announce(conversion, announcement);
      this.#report.published += 1;
    } catch (error) {
      // No broker ever takes this one; the others must not wait behind it.
      if (!hasCode(error, 'broker.malformed-message')) throw error;
      this.#deps.log.error({ err: error, conversionId: conversion.id, announcement }, 'not publishable');
    }
  }

  async #announce(conversion: Conversion, announcement: Announcement): Promise<void> {
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(PUBLISH_DEADLINE_MS)]);
    await announce(this.#deps, conversion, announcement, signal);
  }

  async #sweepLeases(): Promise<void> {
    const now = this.#options.now();
    await this.#eachDue(
      (limit) => this.#deps.conversions.leaseExpired(now, limit),
      async (conversion) => {
        try {
          await this.#sweepLease(conversion, now);
        } catch (error) {
          if (hasCode(error, 'store.unavailable')) throw error;
          this.#deps.log.warn({ err: error, conversionId: conversion.id }, 'not swept');
        }
      },
    );
  }

  async #sweepLease(conversion: Conversion, now: number): Promise<void> {
    if (conversion.state === 'uploading') await this.#removeUpload(conversion, now);
    if (conversion.state === 'fetching') await this.#failFetch(conversion, now);
    const silentMs = now - (conversion.lease?.until ?? now);
    if (conversion.state === 'converting' && silentMs >= this.#options.abandonedAfterMs) {
      await this.#repairConverting(conversion, now);
    }
  }

  /** Takes the lease first: an uploader that is only slow then finds that the record is not its own, and keeps nothing. */
  async #removeUpload({ id }: Conversion, now: number): Promise<void> {
    const { conversions, videos } = this.#deps;
    const lease = { holder: this.#holder, until: now + TAKEOVER_MS };
    const taken = await conversions.update(id, (c) =>
      c.state === 'uploading' && c.lease !== null && c.lease.until < now ? { ...c, lease } : undefined,
    );
    if (taken === undefined) return;
    await videos.remove(id);
    await conversions.remove(id);
    this.#report.removedUploads += 1;
  }

  async #failFetch({ id }: Conversion, now: number): Promise<void> {
    const failed = await this.#fail(id, 'fetching', FETCH_BROKEN_OFF, now);
    if (failed) await this.#deps.videos.remove(id);
  }

  async #repairConverting({ id, attempts }: Conversion, now: number): Promise<void> {
    if (attempts >= this.#options.maxAttempts) {
      const failed = await this.#fail(id, 'converting', ABANDONED, now);
      if (failed && failed.draftMp3Fid !== null) await this.#deps.mp3s.remove(failed.draftMp3Fid);
      return;
    }
    const revived = await this.#deps.conversions.update(id, (c) => reviveAbandoned(c, now));
    if (revived === undefined) return;
    this.#report.revived += 1;
    await this.#announceSoon(revived, 'video');
  }

  async #fail(
    id: Conversion['id'],
    state: Conversion['state'],
    failure: Failure,
    now: number,
  ): Promise<Conversion | undefined> {
    const failed = await this.#deps.conversions.update(id, (c) =>
      c.state === state ? fail(c, null, failure, now) : undefined,
    );
    if (failed === undefined) return undefined;
    this.#report.failed += 1;
    await this.#announceSoon(failed, 'failed');
    return failed;
  }

  /** The record owes the announcement already; where it does not go now, a later run publishes it. */
  async #announceSoon(conversion: Conversion, announcement: Announcement): Promise<void> {
    try {
      await this.#announce(conversion, announcement);
    } catch (error) {
      this.#deps.log.warn({ err: error, conversionId: conversion.id, announcement }, 'not published yet');
    }
  }

  async #retire(kind: 'video' | 'mp3', retentionMs: number): Promise<void> {
    const { conversions, videos, mp3s } = this.#deps;
    const now = this.#options.now();
    await this.#eachDue(
      (limit) => conversions.retentionDue(kind, now - retentionMs, limit),
      async ({ id, mp3Fid }) => {
        if (kind === 'video') {
          await videos.remove(id);
          await conversions.update(id, (c) => ({ ...c, videoRemovedAt: now }));
          this.#report.removedVideos += 1;
        } else {
          if (mp3Fid !== null) await mp3s.remove(mp3Fid);
          await conversions.update(id, (c) => ({ ...c, mp3RemovedAt: now }));
          this.#report.removedMp3s += 1;
        }
      },
    );
  }

  async #removePartials(): Promise<void> {
    const now = this.#options.now();
    if (now < this.#partialsAfter) return;
    this.#partialsAfter = now + PARTIALS_EVERY_MS;
    const olderThan = now - this.#options.partialFileMs;
    this.#report.removedPartials += await this.#deps.videos.sweep(olderThan);
    this.#report.removedPartials += await this.#deps.mp3s.sweep(olderThan);
  }
}

function emptyReport(): SweepReport {
  return {
    published: 0,
    removedUploads: 0,
    failed: 0,
    revived: 0,
    removedVideos: 0,
    removedMp3s: 0,
    removedPartials: 0,
  };
}
