import { hasCode } from '../../domain/errors.ts';
import { PatientAnnouncer } from '../../flow/patient-announcer.ts';
import type { RunningRole } from '../../ports/role.ts';
import { AnnouncementSweep } from './sweep/announcements.ts';
import { sweepLeases } from './sweep/leases.ts';
import { announceLost } from './sweep/lost-messages.ts';
import { removeLeftovers, removePartials, retireMp3s, retireVideos } from './sweep/retention.ts';
import type { SweepContext, SweeperDeps, SweeperOptions, SweepReport } from './sweep/sweep-context.ts';

export type { SweeperDeps, SweeperOptions, SweepReport } from './sweep/sweep-context.ts';

export interface Sweeper extends RunningRole {
  /** One run, now, after the one that runs. Problems are logged; each step is tried in spite of the others. */
  runOnce(): Promise<SweepReport>;
}

const PARTIALS_EVERY_MS = 600_000;
const LOST_EVERY_MS = 60_000;

/** Repairs what crashes left, and removes what retention says. Several processes may sweep the same stores. */
export function startSweeper(deps: SweeperDeps, options: SweeperOptions): Sweeper {
  const sweep = new Sweep(deps, options);
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();

  function runOnce(): Promise<SweepReport> {
    const run = running.then(() => sweep.run());
    running = run;
    return run;
  }
  function arm(delayMs: number): void {
    timer = setTimeout(() => {
      void runOnce().then(() => {
        if (!isStopped) arm(options.intervalMs);
      });
    }, delayMs);
  }

  // What a crash left is put right at once, not after the first interval.
  arm(0);
  return {
    runOnce,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      sweep.stop();
      await running;
      await sweep.settled();
    },
  };
}

class Sweep {
  readonly #deps: SweeperDeps;
  readonly #options: Required<SweeperOptions>;
  readonly #announcer: PatientAnnouncer;
  readonly #stopping = new AbortController();
  readonly #announcements = new AnnouncementSweep();
  #partialsNotBefore = 0;
  #leasesNotBefore = 0;
  #lostNotBefore = 0;
  /** Step → what it was logged to fail with, until it works again. */
  readonly #failing = new Map<string, string>();

  constructor(deps: SweeperDeps, options: SweeperOptions) {
    this.#deps = deps;
    this.#announcer = new PatientAnnouncer(deps, deps.log);
    const defaults = {
      unpublishedAfterMs: 5_000,
      abandonedAfterMs: 15_000,
      lostAfterMs: 900_000,
      stepMs: 20_000,
    };
    this.#options = { ...defaults, now: Date.now, ...options };
  }

  stop(): void {
    this.#stopping.abort();
  }

  settled(): Promise<void> {
    return this.#announcer.settled();
  }

  /** Never rejects. */
  async run(): Promise<SweepReport> {
    const report = emptyReport();
    const context: SweepContext = {
      deps: this.#deps,
      options: this.#options,
      announcer: this.#announcer,
      stopping: this.#stopping.signal,
      report,
    };
    await this.#step('leases', () => this.#judgeLeases(context));
    await this.#step('announcements', () => this.#announcements.run(context));
    await this.#step('lost messages', () => this.#announceLost(context));
    await this.#step('videos', () => retireVideos(context));
    await this.#step('mp3s', () => retireMp3s(context));
    await this.#step('leftovers', () => removeLeftovers(context));
    await this.#step('partial files', () => this.#removePartials(context));
    if (Object.values(report).some((count) => count > 0)) this.#deps.log.info({ ...report }, 'swept');
    return report;
  }

  async #step(step: string, work: () => Promise<void>): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    try {
      await work();
      this.#failing.delete(step);
    } catch (error) {
      this.#logOnce(step, error);
      if (hasCode(error, 'store.unavailable')) {
        this.#leasesNotBefore = this.#options.now() + this.#options.abandonedAfterMs;
      }
    }
  }

  /** Not soon after an outage: nobody could renew his lease, and who lives does so before long. */
  async #judgeLeases(context: SweepContext): Promise<void> {
    if (this.#options.now() >= this.#leasesNotBefore) await sweepLeases(context);
  }

  /** An outage is one line for each step, however long it lasts. */
  #logOnce(step: string, error: unknown): void {
    const what = error instanceof Error ? error.message : String(error);
    if (this.#failing.get(step) === what) return;
    this.#failing.set(step, what);
    this.#deps.log.warn({ err: error, step }, 'sweep not finished');
  }

  async #announceLost(context: SweepContext): Promise<void> {
    const now = this.#options.now();
    if (now < this.#lostNotBefore) return;
    this.#lostNotBefore = now + LOST_EVERY_MS;
    await announceLost(context);
  }

  async #removePartials(context: SweepContext): Promise<void> {
    const now = this.#options.now();
    if (now < this.#partialsNotBefore) return;
    this.#partialsNotBefore = now + Math.min(PARTIALS_EVERY_MS, this.#options.leftoverAgeMs);
    await removePartials(context);
  }
}

function emptyReport(): SweepReport {
  return {
    published: 0,
    lost: 0,
    removedUploads: 0,
    failed: 0,
    revived: 0,
    resumedFetches: 0,
    removedVideos: 0,
    removedMp3s: 0,
    removedDrafts: 0,
    removedPartials: 0,
  };
}
