import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import {
  SMTPServer,
  type SMTPServerDataStream,
  type SMTPServerOptions,
  type SMTPServerSession,
} from 'smtp-server';
import type { Mail } from '../../../src/domain/mail.ts';
import { parseMail } from '../parse-mail.ts';
import { freePort, type TestServer } from './server-process.ts';

const TLS = new URL('../../fixtures/tls/', import.meta.url);

/** The certificate of the authority that has signed those of `localhost` and `mail.example`. */
export const MAIL_AUTHORITY = fileURLToPath(new URL('mail-authority.crt', TLS));

/** No mail to an address of this domain is taken, ever. */
export const REFUSED_DOMAIN = 'refused.example';

/** Where in a session something happens. `data`: when the message begins to come; `answer`: it is kept, and not yet confirmed. */
export type SmtpStep = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data' | 'answer';

export type SmtpBehaviour =
  /** Answers this line: `550 No such user`. */
  | { readonly refuse: string }
  /** Breaks the connection. */
  | { readonly drop: true }
  /** Goes on when this resolves. */
  | { readonly wait: Promise<unknown> };

export interface SmtpOptions {
  /** `starttls` where nothing is said. */
  readonly tls?: 'starttls' | 'implicit' | 'none';
  /** Whose certificate it shows; `video.example` is signed by nobody. */
  readonly certificate?: 'localhost' | 'mail.example' | 'video.example';
  /** Takes mail only after a login with these, and over TLS only unless there is none. */
  readonly credentials?: { readonly user: string; readonly password: string };
  readonly port?: number;
  /** Stands in the greeting. */
  readonly banner?: string;
  /** Keeps a message; the mail is confirmed when this has resolved. In memory where nothing is said. */
  readonly keep?: (message: Buffer) => Promise<void>;
}

/** A mail server in the process of the test. */
export interface SmtpTestServer extends TestServer {
  readonly port: number;
  /** From now on this happens at `step`; undefined: nothing special any more. */
  at(step: SmtpStep, behaviour: SmtpBehaviour | undefined): void;
  /** The mails that were confirmed, or kept and not yet confirmed; oldest first. Empty where `keep` is given. */
  mails(): Promise<readonly Mail[]>;
  /** Connections that are open at the moment. */
  readonly connections: number;
  /** How many sessions there have been. */
  readonly sessions: number;
  /** How often a client has come to this step. */
  count(step: SmtpStep): number;
}

/** Starts a mail server (npm smtp-server) on the loopback. */
export async function startSmtp(options: SmtpOptions = {}): Promise<SmtpTestServer> {
  const server = new LocalSmtp(options, options.port ?? (await freePort()));
  await server.restart();
  return server;
}

class LocalSmtp implements SmtpTestServer {
  readonly url: string;
  readonly port: number;
  readonly #options: SmtpOptions;
  readonly #behaviours = new Map<SmtpStep, SmtpBehaviour>();
  readonly #counts = new Map<SmtpStep, number>();
  readonly #messages: Buffer[] = [];
  #server: SMTPServer | undefined;

  constructor(options: SmtpOptions, port: number) {
    const { tls = 'starttls', credentials } = options;
    this.#options = options;
    this.port = port;
    const scheme = tls === 'implicit' ? 'smtps' : 'smtp';
    const login =
      credentials === undefined
        ? ''
        : `${encodeURIComponent(credentials.user)}:${encodeURIComponent(credentials.password)}@`;
    const query = tls === 'none' ? '' : `?tls_ca=${encodeURIComponent(MAIL_AUTHORITY)}`;
    this.url = `${scheme}://${login}127.0.0.1:${String(port)}${query}`;
  }

  at(step: SmtpStep, behaviour: SmtpBehaviour | undefined): void {
    if (behaviour === undefined) this.#behaviours.delete(step);
    else this.#behaviours.set(step, behaviour);
  }

  mails(): Promise<readonly Mail[]> {
    return Promise.all(this.#messages.map(parseMail));
  }

  get sessions(): number {
    return this.count('connect');
  }

  count(step: SmtpStep): number {
    return this.#counts.get(step) ?? 0;
  }

  get connections(): number {
    return this.#server?.connections.size ?? 0;
  }

  async restart(): Promise<void> {
    await this.kill();
    const server = new SMTPServer(this.#serverOptions());
    // A client that breaks off in TLS or in the middle of a command is what tests are about.
    server.on('error', () => undefined);
    const listening = server.listen(this.port, '127.0.0.1');
    await once(listening, 'listening');
    if ((listening.address() as AddressInfo).port !== this.port) throw new Error('SMTP: another port');
    this.#server = server;
  }

  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = Promise.withResolvers<undefined>();
    server.close(() => {
      closed.resolve(undefined);
    });
    for (const connection of server.connections) connection._socket.destroy();
    await closed.promise;
  }

  stop(): Promise<void> {
    return this.kill();
  }

  #serverOptions(): SMTPServerOptions {
    const { tls = 'starttls', certificate = 'localhost', credentials, banner } = this.#options;
    const disabled = [
      ...(tls === 'starttls' ? [] : ['STARTTLS']),
      ...(credentials === undefined ? ['AUTH'] : []),
    ];
    return {
      secure: tls === 'implicit',
      disabledCommands: disabled,
      authOptional: credentials === undefined,
      allowInsecureAuth: tls === 'none',
      disableReverseLookup: true,
      logger: false,
      ...(banner === undefined ? {} : { banner }),
      key: readFileSync(new URL(`${certificate}.key`, TLS)),
      cert: readFileSync(new URL(`${certificate}.crt`, TLS)),
      onConnect: (session, done) => {
        this.#step('connect', session).then(() => {
          done();
        }, done);
      },
      onAuth: (auth, session, done) => {
        const good = auth.username === credentials?.user && auth.password === credentials?.password;
        this.#step('auth', session).then(
          () => {
            if (good) done(null, { user: auth.username });
            else done(refusal('535 5.7.8 Authentication credentials invalid'));
          },
          (error: unknown) => {
            done(error as Error);
          },
        );
      },
      onMailFrom: (_address, session, done) => {
        this.#step('mail', session).then(() => {
          done();
        }, done);
      },
      onRcptTo: ({ address }, session, done) => {
        this.#step('rcpt', session).then(() => {
          done(address.endsWith(`@${REFUSED_DOMAIN}`) ? refusal('550 5.1.1 No such user here') : undefined);
        }, done);
      },
      onData: (stream, session, done) => {
        this.#receive(stream, session).then(() => {
          done();
        }, done);
      },
    };
  }

  async #receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const behaviour = this.#behaviours.get('data');
    if (behaviour !== undefined && 'drop' in behaviour) {
      await once(stream, 'readable');
      await this.#step('data', session);
    }
    const message = await buffer(stream);
    await this.#step('data', session);
    if (this.#options.keep === undefined) this.#messages.push(message);
    else await this.#options.keep(message);
    await this.#step('answer', session);
  }

  /** Does what was asked for at this step; rejects with the refusal. */
  async #step(step: SmtpStep, { id }: SMTPServerSession): Promise<void> {
    this.#counts.set(step, this.count(step) + 1);
    const behaviour = this.#behaviours.get(step);
    if (behaviour === undefined) return;
    if ('wait' in behaviour) {
      await behaviour.wait;
    } else if ('drop' in behaviour) {
      for (const connection of this.#server?.connections ?? []) {
        if (connection.id === id) connection._socket.destroy();
      }
      throw refusal('421 Gone');
    } else {
      throw refusal(behaviour.refuse);
    }
  }
}

/** `550 No such user` as smtp-server wants it. */
function refusal(line: string): Error & { responseCode: number } {
  return Object.assign(new Error(line.slice(4)), { responseCode: Number(line.slice(0, 3)) });
}
