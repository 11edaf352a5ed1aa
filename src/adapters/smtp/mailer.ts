import { connect, type Socket } from 'node:net';
import { createTransport } from 'nodemailer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import SMTPPool, { type SMTPPoolOptions } from 'nodemailer/lib/smtp-pool';
import type { AudiowaveError } from '../../domain/errors.ts';
import { checkMail, type Mail } from '../../domain/mail.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Mailer } from '../../ports/mailer.ts';
import { explainSmtpError, unavailable, type Trouble } from './smtp-errors.ts';
import { parseSmtpUrl, type SmtpSettings } from './smtp-url.ts';

export interface SmtpMailerOptions {
  readonly log: Logger;
  /** Milliseconds; 45 s where nothing is said. */
  readonly sendDeadlineMs?: number;
  /** Milliseconds; 5 s where nothing is said. */
  readonly checkDeadlineMs?: number;
  /** Wrong credentials are not tried again for so many milliseconds, since servers lock accounts; 15 s where nothing is said. */
  readonly loginPauseMs?: number;
}

/** Until the connection is there, and once more until it is encrypted and greeted. */
const CONNECT_DEADLINE_MS = 10_000;
/** A send, from the wait for a free connection to the server's confirmation. */
const SEND_DEADLINE_MS = 45_000;
const CHECK_DEADLINE_MS = 5_000;
/** The server is not asked again how it is for so long after it was well. */
const WELL_FOR_MS = 10_000;
const LOGIN_PAUSE_MS = 15_000;
const CONNECTIONS = 4;
const IDLE_MS = 30_000;

/**
 * Sends mail over SMTP (RFC 5321) through a few connections that are kept for some time; connects when there is a mail,
 * so that it opens without the server. A server's answer of 5xx to the recipient or the text is `mail.refused`, with the
 * answer in `detail`; everything else that goes wrong is `mail.unavailable`. A mail may arrive twice where the connection
 * breaks between the server's yes and its way to us.
 */
export class SmtpMailer implements Mailer {
  readonly #settings: SmtpSettings;
  readonly #server: string;
  readonly #log: Logger;
  readonly #sendDeadlineMs: number;
  readonly #checkDeadlineMs: number;
  readonly #loginPauseMs: number;
  readonly #closing = new AbortController();
  readonly #options: SMTPPoolOptions;
  readonly #pool: SMTPPool;
  readonly #transport: ReturnType<typeof createTransport>;
  #trouble: Trouble = 'none';
  #wellUntil = 0;
  #loginRefused: { readonly error: AudiowaveError; readonly until: number } | undefined;
  #checking: Promise<void> | undefined;

  private constructor(settings: SmtpSettings, options: SmtpMailerOptions) {
    this.#settings = settings;
    this.#server = `${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${String(settings.port)}`;
    this.#log = options.log;
    this.#sendDeadlineMs = options.sendDeadlineMs ?? SEND_DEADLINE_MS;
    this.#checkDeadlineMs = options.checkDeadlineMs ?? CHECK_DEADLINE_MS;
    this.#loginPauseMs = options.loginPauseMs ?? LOGIN_PAUSE_MS;
    this.#options = clientOptions(settings, () => this.#connect(CONNECT_DEADLINE_MS));
    this.#pool = new SMTPPool(this.#options);
    this.#transport = createTransport(this.#pool);
  }

  /** `url`: see parseSmtpUrl(). `config.invalid` where it is malformed; never fails because the server is away. */
  // eslint-disable-next-line @typescript-eslint/require-await -- a malformed URL rejects, as it does with every adapter
  static async open(url: string, options: SmtpMailerOptions): Promise<SmtpMailer> {
    return new SmtpMailer(parseSmtpUrl(url), options);
  }

  async send(mail: Mail, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    checkMail(mail);
    this.#throwIfUseless();
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      deadline.abort();
    }, this.#sendDeadlineMs);
    const signals = [deadline.signal, this.#closing.signal, ...(options.signal ? [options.signal] : [])];
    try {
      await this.#transport.sendMail({ ...fieldsOf(mail), signal: AbortSignal.any(signals) });
      this.#noteWell();
    } catch (thrown) {
      options.signal?.throwIfAborted();
      this.#throwIfClosed();
      throw deadline.signal.aborted ? this.#noteTimeout() : this.#note(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  describe(): string {
    return `smtp server ${this.#server}`;
  }

  async check(): Promise<void> {
    this.#throwIfUseless();
    if (Date.now() < this.#wellUntil) return;
    this.#checking ??= this.#greet().finally(() => {
      this.#checking = undefined;
    });
    await this.#checking;
  }

  close(): Promise<void> {
    this.#closing.abort();
    this.#pool.close({ force: true });
    return Promise.resolve();
  }

  /** Connects, logs in and goes. */
  async #greet(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      reject(timedOut('no greeting', this.#checkDeadlineMs));
    }, this.#checkDeadlineMs);
    let session: SMTPConnection | undefined;
    try {
      session = new SMTPConnection({
        ...this.#options,
        connection: await this.#connect(this.#checkDeadlineMs),
      });
      const fail = (error?: Error): void => {
        reject(error ?? new Error('The connection was closed.'));
      };
      session.on('error', fail);
      session.once('end', fail);
      this.#logIn(session, resolve, fail);
      await promise;
      this.#noteWell();
    } catch (thrown) {
      this.#throwIfClosed();
      throw this.#note(thrown);
    } finally {
      clearTimeout(timer);
      promise.catch(() => undefined);
      session?.close();
    }
  }

  #logIn(session: SMTPConnection, resolve: (value: undefined) => void, fail: (error: Error) => void): void {
    const { credentials } = this.#settings;
    const done = (error?: Error | null): void => {
      if (error) fail(error);
      else resolve(undefined);
    };
    session.connect((error) => {
      if (error || credentials === undefined) done(error);
      else session.login({ credentials: { user: credentials.user, pass: credentials.password } }, done);
    });
  }

  /** A socket of ours rather than one of nodemailer, which keeps what DNS has said for minutes. */
  #connect(deadlineMs: number): Promise<Socket> {
    const { host, port } = this.#settings;
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const socket = connect({ host, port, signal: this.#closing.signal });
    const timer = setTimeout(() => {
      socket.destroy(timedOut('no connection', deadlineMs));
    }, deadlineMs);
    // Stays: whoever has the socket later may let go of it before its last error.
    socket.on('error', reject);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('close', () => {
      clearTimeout(timer);
    });
    return promise;
  }

  #throwIfClosed(): void {
    if (this.#closing.signal.aborted) throw unavailable('The mailer is closed.');
  }

  #throwIfUseless(): void {
    this.#throwIfClosed();
    if (this.#loginRefused !== undefined && Date.now() < this.#loginRefused.until)
      throw this.#loginRefused.error;
  }

  #note(thrown: unknown): AudiowaveError {
    const { error, trouble } = explainSmtpError(thrown, this.#server);
    if (trouble === 'none') {
      // It has an opinion on a mail, so it is there.
      this.#noteWell();
      return error;
    }
    this.#wellUntil = 0;
    if (trouble === 'login') this.#loginRefused = { error, until: Date.now() + this.#loginPauseMs };
    if (this.#trouble !== trouble) {
      this.#log.warn(
        { server: this.#server, reason: error.message },
        'mail server can not be used; trying again',
      );
    }
    this.#trouble = trouble;
    return error;
  }

  #noteTimeout(): AudiowaveError {
    return this.#note(timedOut('no confirmation', this.#sendDeadlineMs));
  }

  #noteWell(): void {
    if (this.#trouble !== 'none') this.#log.info({ server: this.#server }, 'mail server is back');
    this.#trouble = 'none';
    this.#loginRefused = undefined;
    this.#wellUntil = Date.now() + WELL_FOR_MS;
  }
}

/** As nodemailer says it. */
function timedOut(what: string, deadlineMs: number): Error {
  return Object.assign(new Error(`${what} within ${String(deadlineMs / 1000)} s`), { code: 'ETIMEDOUT' });
}

function clientOptions(
  { host, port, credentials, protection }: SmtpSettings,
  open: () => Promise<Socket>,
): SMTPPoolOptions {
  const { implicit, startTls, checkCertificate, authorities } = protection;
  return {
    host,
    port,
    secure: implicit,
    requireTLS: startTls === 'required',
    ignoreTLS: startTls === 'off',
    tls: { rejectUnauthorized: checkCertificate, ...(authorities === undefined ? {} : { ca: authorities }) },
    ...(credentials === undefined
      ? {}
      : // Without forceAuth a server that offers no login would get the mail all the same.
        { auth: { user: credentials.user, pass: credentials.password }, forceAuth: true }),
    getSocket: (_options, done) => {
      open().then((connection) => {
        done(null, { connection });
      }, done);
    },
    connectionTimeout: 2 * CONNECT_DEADLINE_MS,
    greetingTimeout: CONNECT_DEADLINE_MS,
    socketTimeout: SEND_DEADLINE_MS,
    socketCloseTimeout: 0,
    idleTimeout: IDLE_MS,
    maxConnections: CONNECTIONS,
    // Only where not a byte of the mail was sent: an idle connection that the server has closed in this moment.
    maxRequeues: CONNECTIONS,
    logger: false,
  };
}

function fieldsOf(mail: Mail): Parameters<ReturnType<typeof createTransport>['sendMail']>[0] {
  return {
    // As objects, so that nobody looks for names, groups or several addresses in them.
    from: { name: '', address: mail.from },
    to: { name: '', address: mail.to },
    // nodemailer takes a text that looks encoded for encoded; this one shall arrive as it is.
    subject: mail.subject.includes('=?') ? encodeWord(mail.subject, 'B', 52) : mail.subject,
    messageId: `<${mail.messageId}>`,
    text: mail.text,
    html: mail.html,
    // RFC 3834, 5: other machines don't answer.
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}
