import { Connection, type Channel } from 'rabbitmq-client';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Address } from './address.ts';
import { jittered, orAborted } from './waiting.ts';

const CONNECT_MS = 8_000;
const LONGEST_PAUSE_MS = 5_000;
/** Nobody's password becomes right by asking often. */
const REFUSED_PAUSE_MS = 30_000;
const CLOSE_MS = 2_000;

export interface LinkEvents {
  /** Told at every failed try; `reason` names no secret. */
  readonly onAway: (reason: string) => void;
  readonly onOpen: () => void;
}

/**
 * One connection that is made again for ever after it is lost. The client's own way to do that keeps silent about why
 * a later try failed and waits up to 30 s, so each try is a Connection of its own.
 */
export class Link {
  readonly #address: Address;
  readonly #name: string;
  readonly #events: LinkEvents;
  readonly #channels = new Set<Channel>();
  #connection: Connection;
  #isOpen = false;
  #isBlocked = false;
  #failures = 0;
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;
  #changed = Promise.withResolvers<undefined>();
  /** Counts the connections that were made: what one knew of queues, the next one does not. */
  generation = 0;

  constructor(address: Address, name: string, events: LinkEvents) {
    this.#address = address;
    this.#name = name;
    this.#events = events;
    this.#connection = this.#dial();
  }

  /** Why the broker is away; undefined while it is not known to be. */
  get reason(): string | undefined {
    return this.#isBlocked ? 'it takes no messages: it is low on memory or disk' : this.#reason;
  }

  /** Low on memory or disk: nothing is taken, everything else goes on. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** A channel of one's own, whose failures are events of its own. Waits for the broker. */
  async channel(signal: AbortSignal): Promise<Channel> {
    await this.#until(() => this.#isOpen, signal);
    const acquired = this.#connection.acquire({ emitErrorsFromChannel: true });
    // Where nobody waits any more, nobody else would close it.
    acquired.then(
      (late) => (signal.aborted ? late.close() : undefined),
      () => undefined,
    );
    const channel = await orAborted(acquired, signal);
    // The 'close' that follows each error says all that is needed.
    channel.on('error', () => undefined);
    this.#channels.add(channel);
    channel.once('close', () => this.#channels.delete(channel));
    return channel;
  }

  /** Resolves when messages may be published: connected, and no alarm of the broker. */
  async publishable(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#isOpen && !this.#isBlocked, signal);
  }

  /** Resolves when the link is open or it is known why it is not. */
  async known(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#isOpen || this.#reason !== undefined, signal);
  }

  /** What to tell those who waited in vain. */
  unavailable(cause?: unknown): AudiowaveError {
    return this.troubled(
      this.reason ?? (cause instanceof Error ? reasonOf(cause, this.#address) : 'no answer'),
      cause,
    );
  }

  /** The error of a broker that can't be used for `reason`. */
  troubled(reason: string, cause?: unknown): AudiowaveError {
    return new AudiowaveError('broker.unavailable', `RabbitMQ at ${this.#address.place}: ${reason}`, {
      cause,
      detail: reason,
    });
  }

  /** Lets go within 2 s; waits that are under way fail. Harmless twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#reason ??= 'the connection was closed';
    const time = AbortSignal.timeout(CLOSE_MS);
    // The client waits for channels that others have to close.
    for (const channel of this.#channels) void channel.close();
    if (this.#isOpen) await orAborted(this.#connection.close(), time).catch(() => undefined);
    this.#connection.unsafeDestroy();
    this.#isOpen = false;
    this.#tell();
  }

  #dial(): Connection {
    const connection = new Connection({
      ...this.#address.options,
      connectionName: this.#name,
      connectionTimeout: CONNECT_MS,
      noDelay: true,
    });
    connection.on('connection', () => {
      this.#isOpen = true;
      this.#failures = 0;
      this.#reason = undefined;
      this.generation++;
      this.#events.onOpen();
      this.#tell();
    });
    connection.on('connection.blocked', () => {
      this.#isBlocked = true;
      this.#tell();
    });
    connection.on('connection.unblocked', () => {
      this.#isBlocked = false;
      this.#tell();
    });
    connection.on('error', (error) => {
      this.#lost(connection, error as Error);
    });
    return connection;
  }

  #lost(connection: Connection, error: Error): void {
    connection.unsafeDestroy();
    if (this.#closed !== undefined || connection !== this.#connection) return;
    this.#isOpen = this.#isBlocked = false;
    this.#reason = reasonOf(error, this.#address);
    this.#events.onAway(this.#reason);
    const pauseMs = isRefusal(error)
      ? REFUSED_PAUSE_MS
      : Math.min(LONGEST_PAUSE_MS, 250 * 2 ** this.#failures++);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#connection = this.#dial()), jittered(pauseMs));
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!condition()) {
      if (this.#closed !== undefined) throw this.unavailable();
      await orAborted(this.#changed.promise, signal);
    }
  }
}

/** True where asking again soon can't help: the user, the password or the virtual host is wrong. */
function isRefusal(error: Error): boolean {
  return codeOf(error) === 'ACCESS_REFUSED' || codeOf(error) === 'NOT_ALLOWED';
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : '';
}

function reasonOf(error: Error, { user }: Address): string {
  if (codeOf(error) === 'ACCESS_REFUSED') return `access refused for user '${user}'`;
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  return first.message === '' ? codeOf(first) : first.message;
}
