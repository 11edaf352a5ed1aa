import type { Config } from '../config/config.ts';
import { AudiowaveError } from '../domain/errors.ts';
import type { AuthApi } from '../ports/auth-api.ts';
import type { Broker } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { Mailer, Outbox } from '../ports/mailer.ts';
import type { Check } from '../ports/role.ts';
import type { UserStore } from '../ports/user-store.ts';
import { ADAPTERS, openAdapter, type OpenContext } from './adapters.ts';
import { prepareDataFolder } from './data-folder.ts';
import { DeadlineError, withDeadline } from './deadline.ts';
import {
  dataFolderOf,
  isLocal,
  keepsMail,
  portUrls,
  shownUrl,
  type PortName,
  type PortUrls,
} from './profiles.ts';
import { reasonOf } from './reason.ts';
import { missingPort } from './requirements.ts';

interface Opened {
  check(): Promise<void>;
  close(): Promise<void>;
}

/** An adapter opens without its server, so that whoever needs longer than this hangs. */
const OPEN_DEADLINE_MS = 15_000;
const CHECK_DEADLINE_MS = 2_000;
const CLOSE_DEADLINE_MS = 5_000;

/** The adapters of one process: each is opened when a role first asks for it, and closed in reverse order. */
export class PortSet {
  readonly #folder: string;
  readonly #urls: PortUrls;
  readonly #context: OpenContext;
  readonly #opened = new Map<PortName, Promise<Opened>>();

  readonly #questions = new Map<PortName, { readonly answer: Promise<void>; readonly until: number }>();
  readonly #reasons = new Map<PortName, string>();
  #prepared: Promise<void> | undefined;

  constructor(config: Config, log: Logger) {
    this.#folder = dataFolderOf(config);
    this.#urls = portUrls(config);
    this.#context = { log, ackTimeoutMs: config.brokerAckTimeoutMs };
  }

  users(): Promise<UserStore> {
    return this.#open('users', (url) => openAdapter(ADAPTERS.users, url, this.#context));
  }

  conversions(): Promise<ConversionStore> {
    return this.#open('conversions', (url) => openAdapter(ADAPTERS.conversions, url, this.#context));
  }

  videos(): Promise<FileStore> {
    return this.#open('videos', (url) => openAdapter(ADAPTERS.videos, url, this.#context));
  }

  mp3s(): Promise<FileStore> {
    return this.#open('mp3s', (url) => openAdapter(ADAPTERS.mp3s, url, this.#context));
  }

  broker(): Promise<Broker> {
    return this.#open('broker', (url) => openAdapter(ADAPTERS.broker, url, this.#context));
  }

  mailer(): Promise<Mailer & Partial<Outbox>> {
    return this.#open('mail', (url) => openAdapter(ADAPTERS.mail, url, this.#context));
  }

  /** The mails that stay on this machine; undefined where they go to a mail server, which is then not opened. */
  async outbox(): Promise<Outbox | undefined> {
    if (!keepsMail(this.#urls.mail)) return undefined;
    const mailer = await this.mailer();
    return mailer.list === undefined ? undefined : { list: mailer.list.bind(mailer) };
  }

  /** The auth service of another process. */
  auth(): Promise<AuthApi> {
    return this.#open('auth', (url) => openAdapter(ADAPTERS.auth, url, this.#context));
  }

  /** The data folder, made and tried; throws the system's error where it can't be written to. */
  async dataFolder(): Promise<string> {
    await (this.#prepared ??= prepareDataFolder(this.#folder));
    return this.#folder;
  }

  #open<P extends Opened>(name: PortName, open: (url: string) => Promise<P>): Promise<P> {
    const existing = this.#opened.get(name) as Promise<P> | undefined;
    if (existing !== undefined) return existing;
    const opening = this.#openNew(name, open);
    this.#opened.set(name, opening);
    return opening;
  }

  async #openNew<P extends Opened>(name: PortName, open: (url: string) => Promise<P>): Promise<P> {
    const url = this.#urls[name];
    if (url === undefined) throw new AudiowaveError('config.invalid', missingPort(name));
    if (isLocal(url)) await this.dataFolder();
    return withDeadline(open(url), OPEN_DEADLINE_MS);
  }

  /** Asks each open adapter whether it answers. */
  async checks(): Promise<Check[]> {
    return Promise.all([...this.#opened].map(([name, opening]) => this.check(name, opening)));
  }

  /**
   * Asks one. Where it does not answer in time: what it said last, since the driver of a dead server often needs longer to
   * say why than a probe waits; or, where it has said nothing yet, which server it is that keeps silent.
   */
  async check(name: PortName, opening: Promise<Opened>, deadlineMs = CHECK_DEADLINE_MS): Promise<Check> {
    try {
      await withDeadline(this.#asking(name, opening), deadlineMs);
      return { name, ok: true };
    } catch (error) {
      const isLate = error instanceof DeadlineError;
      const message = isLate ? (this.#reasons.get(name) ?? this.#silence(name, error)) : reasonOf(error);
      return { name, ok: false, message };
    }
  }

  #silence(name: PortName, { message }: DeadlineError): string {
    const url = this.#urls[name];
    return url === undefined ? message : `${message} at ${shownUrl(url)}`;
  }

  /** One question at a time for each adapter, for as long as a probe waits: they come faster than a dead server answers. */
  #asking(name: PortName, opening: Promise<Opened>): Promise<void> {
    const existing = this.#questions.get(name);
    if (existing !== undefined && performance.now() < existing.until) return existing.answer;
    const answer = opening.then((adapter) => adapter.check());
    const question = { answer, until: performance.now() + CHECK_DEADLINE_MS };
    this.#questions.set(name, question);
    const end = (reason: string | undefined): void => {
      if (reason === undefined) this.#reasons.delete(name);
      else this.#reasons.set(name, reason);
      if (this.#questions.get(name) === question) this.#questions.delete(name);
    };
    answer.then(
      () => {
        end(undefined);
      },
      (error: unknown) => {
        end(reasonOf(error));
      },
    );
    return answer;
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
        this.#context.log.warn({ err: error, port: name }, 'not closed cleanly');
      }
    }
    this.#opened.clear();
  }
}
