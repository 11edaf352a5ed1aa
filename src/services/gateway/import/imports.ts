import { failureOf, type Conversion } from '../../../domain/conversion.ts';
import { asAudiowaveError, AudiowaveError } from '../../../domain/errors.ts';
import { Intake, type IntakeContext } from '../intake.ts';
import { cleanFileName } from '../upload/file-name.ts';
import { checkFreeSpace, guarded } from '../upload/free-space.ts';

/** The most fetches at the same time; the others wait under their lease. */
const MAX_FETCHES = 8;

/** The most fetches that may wait. */
const MAX_WAITING = 1_000;

/**
 * Fetches videos by URL in the background. A record `fetching` stands before the answer; its end is `queued` or
 * `failed`. A gateway that stops fails what it still fetches, in words that say so: the owner learns it now, and may try
 * again; resuming at another gateway would need a server that takes ranges.
 */
export class Imports {
  readonly #context: IntakeContext;
  readonly #waiting: (() => void)[] = [];
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
    const stopped = new AudiowaveError('import.failed', 'Audiowave was stopped while it fetched the video.');
    const intake = new Intake(this.#context, stopped);
    let conversion;
    try {
      conversion = await intake.record(owner, 'fetching', null, { kind: 'url', url: url.href });
    } catch (error) {
      await intake.end();
      throw error;
    }
    void this.#run(intake, url);
    return conversion;
  }

  async #run(intake: Intake, url: URL): Promise<void> {
    const { log } = this.#context.deps;
    const started = Date.now();
    try {
      await this.#enter(intake.signal);
      try {
        const queued = await this.#fetch(intake, url);
        const { id: conversionId, videoBytes, owner } = queued;
        log.info(
          { conversionId, owner, bytes: videoBytes, durationMs: Date.now() - started },
          'video fetched',
        );
      } finally {
        this.#leave();
      }
    } catch (error) {
      await this.#giveUp(intake, error);
    } finally {
      await intake.end();
    }
  }

  async #fetch(intake: Intake, url: URL): Promise<Conversion> {
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
    log.info({ conversionId: intake.id, code: error.code, detail: error.detail }, 'video not fetched');
    try {
      await intake.fail(failureOf(error));
    } catch (error) {
      log.warn({ err: error, conversionId: intake.id }, 'failure not recorded; the sweeper does it');
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#running < MAX_FETCHES) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', refuse);
        resolve();
      };
      const refuse = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(asAudiowaveError(signal.reason));
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', refuse, { once: true });
    });
  }

  /** The place goes to the one that waits longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
