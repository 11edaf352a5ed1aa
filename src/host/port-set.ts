import type { Config } from '../config/config.ts';
import type { Broker } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { Mailer, Outbox } from '../ports/mailer.ts';
import type { Check } from '../ports/role.ts';
import type { UserStore } from '../ports/user-store.ts';
import { ADAPTERS, openAdapter } from './adapters.ts';
import { prepareDataFolder } from './data-folder.ts';
import { withDeadline } from './deadline.ts';
import { dataFolderOf, portUrls, type PortUrls } from './profiles.ts';

interface Opened {
  check(): Promise<void>;
  close(): Promise<void>;
}

const CHECK_DEADLINE_MS = 2_000;
const CLOSE_DEADLINE_MS = 5_000;

/** The adapters of one process: each is opened when a role first asks for it, and closed in reverse order. */
export class PortSet {
  readonly #folder: string;
  readonly #urls: PortUrls;
  readonly #log: Logger;
  readonly #opened = new Map<keyof PortUrls, Promise<Opened>>();

  #prepared: Promise<void> | undefined;

  constructor(config: Config, log: Logger) {
    this.#folder = dataFolderOf(config);
    this.#urls = portUrls(config);
    this.#log = log;
  }

  users(): Promise<UserStore> {
    return this.#open('users', () => openAdapter(ADAPTERS.users, this.#urls.users, this.#log));
  }

  conversions(): Promise<ConversionStore> {
    return this.#open('conversions', () =>
      openAdapter(ADAPTERS.conversions, this.#urls.conversions, this.#log),
    );
  }

  videos(): Promise<FileStore> {
    return this.#open('videos', () => openAdapter(ADAPTERS.videos, this.#urls.videos, this.#log));
  }

  mp3s(): Promise<FileStore> {
    return this.#open('mp3s', () => openAdapter(ADAPTERS.mp3s, this.#urls.mp3s, this.#log));
  }

  broker(): Promise<Broker> {
    return this.#open('broker', () => openAdapter(ADAPTERS.broker, this.#urls.broker, this.#log));
  }

  mailer(): Promise<Mailer & Partial<Outbox>> {
    return this.#open('mail', () => openAdapter(ADAPTERS.mail, this.#urls.mail, this.#log));
  }

  #open<P extends Opened>(name: keyof PortUrls, open: () => Promise<P>): Promise<P> {
    const existing = this.#opened.get(name) as Promise<P> | undefined;
    if (existing !== undefined) return existing;
    this.#prepared ??= prepareDataFolder(this.#folder);
    const opening = this.#prepared.then(open);
    this.#opened.set(name, opening);
    return opening;
  }

  /** Asks each open adapter whether it answers. */
  async checks(): Promise<Check[]> {
    return Promise.all([...this.#opened].map(([name, opening]) => checkOne(name, opening)));
  }

  /** Closes all, the last opened first; a failure of one does not keep the others open. */
  async close(): Promise<void> {
    for (const [name, opening] of [...this.#opened].reverse()) {
      try {
        await withDeadline(
          opening.then(
            (adapter) => adapter.close(),
            // Its caller knows that it did not open.
            () => undefined,
          ),
          CLOSE_DEADLINE_MS,
        );
      } catch (error) {
        this.#log.warn({ err: error, port: name }, 'not closed cleanly');
      }
    }
    this.#opened.clear();
  }
}

async function checkOne(name: string, opening: Promise<Opened>): Promise<Check> {
  try {
    await withDeadline(
      opening.then((adapter) => adapter.check()),
      CHECK_DEADLINE_MS,
    );
    return { name, ok: true };
  } catch (error) {
    return { name, ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}
