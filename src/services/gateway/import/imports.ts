import { failureOf, type Conversion } from '../../../domain/conversion.ts';
import { asAudiowaveError, AudiowaveError, hasCode } from '../../../domain/errors.ts';
import { Intake, type IntakeContext } from '../intake.ts';
import { cleanFileName } from '../upload/file-name.ts';
import { checkFreeSpace, guarded } from '../upload/free-space.ts';

/** The most fetches at the same time; the others wait under their lease. */
const MAX_FETCHES = 8;

/** The most fetches that may wait. */
const MAX_WAITING = 1_000;

/** How long a fetch rests that a store could not take. */
const AWAY_REST_MS = 5_000;
/** The same where the store is full: it would be fetched in vain. */
const FULL_REST_MS = 60_000;

/** A fetch that waits for its place. */
interface Waiting {
  readonly enter: () => void;
  readonly refuse: (reason: Error) => void;
}

const STOPPED = new AudiowaveError('import.failed', 'Audiowave was stopped while it fetched the video.');

/**
 * Fetches videos by URL in the background. A record `fetching` stands before the answer; its end is `queued`, or `failed`
 * where the video can't be had. What a gateway can't bring to its end, since it stops, dies or its stores are away, is
 * resumed by whichever gateway sweeps it, from the beginning: few servers promise that a range is of the same video.
 */
export class Imports {
  readonly #context: IntakeContext;
  readonly #waiting: Waiting[] = [];
  #running = 0;

  constructor(context: IntakeContext) {
    this.#context = context;
  }

  /** Makes the record and begins. `import.failed` where too many wait. */
  async begin(owner: string, url: URL): Promise<Conversion> {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new AudiowaveError('import.failed', 'Too many videos wait to be fetched already.');
    }
    const { deps, settings } = this.#context;
    await checkFreeSpace(deps.videos, settings.minFreeDiskBytes, 0);
    const intake = new Intake(this.#context, STOPPED);
    let conversion;
    try {
      conversion = await intake.record(owner, 'fetching', null, { kind: 'url', url: url.href });
    } catch (error) {
      await intake.end();
      throw error;
    }
    void this.#run(intake, async () => {
      await this.#enter(intake.signal);
      await this.#fetch(intake, url);
    });
    return conversion;
  }

  /**
   * Goes on with a fetch whose holder was not heard of until `now` (milliseconds since the epoch); true where this process
   * has begun it. Not where all places are taken: another gateway may have one free.
   */
  async resume({ id, source }: Conversion, now: number): Promise<boolean> {
    const url = source.kind === 'url' ? URL.parse(source.url) : null;
    if (url === null || this.#running >= MAX_FETCHES || this.#context.work.has(id)) return false;
    this.#running += 1;
    const intake = new Intake(this.#context, STOPPED, id);
    let resumed;
    try {
      resumed = await intake.resume(now);
    } finally {
      if (resumed === undefined) {
        this.#leave();
        await intake.end();
      }
    }
    if (resumed === undefined) return false;
    this.#context.deps.log.info({ conversionId: id, attempts: resumed.attempts }, 'fetch resumed');
    void this.#run(intake, () => this.#fetchAnew(intake, url));
    return true;
  }

  /** The gateway takes no more work: what has not begun is left to others. */
  stopWaiting(): void {
    for (const waiting of [...this.#waiting]) waiting.refuse(STOPPED);
  }

  async #run(intake: Intake, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.#giveUp(intake, error);
    } finally {
      await intake.end();
    }
  }

  /** In a place that is taken already. */
  async #fetchAnew(intake: Intake, url: URL): Promise<void> {
    const { deps, settings } = this.#context;
    try {
      await intake.clear();
      await checkFreeSpace(deps.videos, settings.minFreeDiskBytes, 0);
    } catch (error) {
      this.#leave();
      throw error;
    }
    await this.#fetch(intake, url);
  }

  /** Leaves its place at the end. */
  async #fetch(intake: Intake, url: URL): Promise<void> {
    const started = Date.now();
    try {
      const { id: conversionId, videoBytes: bytes, owner } = await this.#fetchVideo(intake, url);
      const durationMs = Date.now() - started;
      this.#context.deps.log.info({ conversionId, owner, bytes, durationMs }, 'video fetched');
    } finally {
      this.#leave();
    }
  }

  async #fetchVideo(intake: Intake, url: URL): Promise<Conversion> {
    const { deps, settings } = this.#context;
    const { maxUploadBytes: maxBytes, minFreeDiskBytes: minFreeBytes } = settings;
    const tooLarge = (): AudiowaveError => new AudiowaveError('import.too-large');
    // Ends the connection in every case, also where the store refuses before the first byte is read.
    const over = new AbortController();
    try {
      const signal = AbortSignal.any([intake.signal, over.signal]);
      const { body, name } = await deps.fetchVideo(url, { maxBytes, signal });
      await intake.write(guarded(body, deps.videos, { minFreeBytes, maxBytes, tooLarge }));
      const queued = await intake.enqueue(cleanFileName(name));
      await intake.announce(queued, 'video');
      return queued;
    } finally {
      over.abort();
    }
  }

  async #giveUp(intake: Intake, raised: unknown): Promise<void> {
    const { log } = this.#context.deps;
    const cause = intake.signal.aborted ? (intake.signal.reason as unknown) : raised;
    const error = asAudiowaveError(cause, 'import.failed');
    const { id: conversionId } = intake;
    log.info({ conversionId, code: error.code, detail: error.detail }, 'video not fetched');
    const restMs = restAfter(error);
    try {
      if (restMs === undefined) await intake.fail(failureOf(error));
      else await intake.handBack(restMs);
    } catch (error) {
      log.warn({ err: error, conversionId }, 'fetch left to the sweeper');
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#running < MAX_FETCHES) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        waiting.refuse(asAudiowaveError(signal.reason));
      };
      const waiting: Waiting = {
        enter: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        refuse: (reason) => {
          signal.removeEventListener('abort', onAbort);
          this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
          reject(reason);
        },
      };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The place goes to the one that waits longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next.enter();
  }
}

/** How long a fetch rests before somebody goes on with it; undefined where `error` says that its video can't be had. */
function restAfter(error: AudiowaveError): number | undefined {
  if (error === STOPPED) return 0;
  if (hasCode(error, 'store.full')) return FULL_REST_MS;
  // Of the last two: another one has taken the file, or swept it.
  return hasCode(error, 'store.unavailable', 'file.abandoned', 'file.exists') ? AWAY_REST_MS : undefined;
}
