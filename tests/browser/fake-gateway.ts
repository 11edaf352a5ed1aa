import { CONTENT_SECURITY_POLICY } from '../../src/services/gateway/page/page.ts';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { FakeConversions, type FakeConversion } from './fake-conversions.ts';
import { answerMp3, silentMp3 } from './fake-mp3.ts';

/** The folder of the page. */
const WEB = join(import.meta.dirname, '../../web');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface FakeMail {
  readonly name: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly sentAt: string;
}

export interface FakeOptions {
  readonly registration?: 'open' | 'closed';
  readonly outbox?: boolean;
  readonly maxUploadBytes?: number;
  readonly port?: number;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly user: string | undefined;
}

/** The gateway's API in memory, for the page alone: nothing moves until the test moves it. */
export class FakeGateway {
  readonly conversions = new FakeConversions();
  readonly mails: FakeMail[] = [];
  readonly mp3 = silentMp3(20);
  /** Passwords by e-mail address. */
  readonly accounts = new Map<string, string>();
  /** Sources that were sent, by the id of their conversion. */
  readonly received = new Map<string, number>();
  /** While set, upload bodies are not read beyond their first bytes. */
  hold: Promise<void> | undefined;
  /** While set, uploads are answered with this problem. */
  refuseUploads: { status: number; code: string; detail: string } | undefined;
  /** Uploads whose client hung up. */
  aborted = 0;
  readonly #options: FakeOptions;
  readonly #tokens = new Map<string, string>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  constructor(options: FakeOptions) {
    this.#options = options;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#options.port ?? 0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}/`;
  }

  /** Every token so far is refused from now on. */
  endSessions(): void {
    this.#tokens.clear();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const call = { request, response, url, user: this.#tokens.get(token ?? '') };
    try {
      if (url.pathname.startsWith('/api/v1/')) await this.#api(call);
      else if (url.pathname.startsWith('/d/')) this.#download(call);
      else await this.#static(call);
    } catch (error) {
      // The browser hung up in the middle of a body.
      if (!request.destroyed) throw error;
    }
  }

  async #static({ response, url }: Call): Promise<void> {
    const path = url.pathname === '/' ? '/index.html' : url.pathname;
    const known = path === '/index.html' || /^\/assets\/[\w.-]+$/.test(path);
    const body = known ? await readFile(join(WEB, path)).catch(() => undefined) : undefined;
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.writeHead(body === undefined ? 404 : 200, {
      'Content-Type': TYPES[extname(path)] ?? 'text/plain',
    });
    response.end(body);
  }

  #download({ request, response, url }: Call): void {
    const conversion = this.conversions.byLink(url.pathname.slice(3));
    if (conversion === undefined) {
      problem(response, 404, 'file.unknown', 'not found');
      return;
    }
    const name = (conversion.name ?? 'audio').replace(/\.\w+$/, '').replaceAll(/[^\w .-]/g, '_');
    const disposition = url.searchParams.has('inline') ? 'inline' : 'attachment';
    response.setHeader('Content-Disposition', `${disposition}; filename="${name}.mp3"`);
    answerMp3(request, response, this.mp3);
  }

  async #api(call: Call): Promise<void> {
    const { request, response, url, user } = call;
    const route = `${request.method ?? ''} ${url.pathname.slice('/api/v1'.length)}`;
    if (route === 'GET /service') {
      const { registration = 'open', outbox = true, maxUploadBytes = 5 * 2 ** 30 } = this.#options;
      json(response, 200, { name: 'audiowave', version: '0.0.0-fake', registration, outbox, maxUploadBytes });
    } else if (route === 'POST /sessions') await this.#logIn(call);
    else if (route === 'POST /users') await this.#register(call);
    else if (user === undefined) problem(response, 401, 'auth.invalid-token', 'Log in again.');
    else if (route === 'GET /users/me') json(response, 200, { email: user, role: 'user' });
    else if (route === 'GET /outbox')
      json(response, 200, { items: this.mails.filter((mail) => mail.to === user) });
    else await this.#conversion(call, route, user);
  }

  async #logIn({ request, response }: Call): Promise<void> {
    const { email = '', password } = await readJson(request);
    if (password === undefined || this.accounts.get(email) !== password) {
      problem(response, 401, 'auth.invalid-credentials', 'Unknown e-mail address or wrong password.');
      return;
    }
    const token = randomBytes(12).toString('hex');
    this.#tokens.set(token, email);
    json(response, 201, { token, expiresAt: new Date(Date.now() + 86_400_000).toISOString() });
  }

  async #register({ request, response }: Call): Promise<void> {
    const { email = '', password = '' } = await readJson(request);
    if (this.#options.registration === 'closed')
      problem(response, 403, 'auth.registration-closed', 'Closed.');
    else if (this.accounts.has(email)) problem(response, 409, 'user.exists', 'There is one already.');
    else if (password.length < 6) problem(response, 422, 'user.weak-password', 'The password is too short.');
    else {
      this.accounts.set(email, password);
      json(response, 201, { id: '1', email, role: 'user', createdAt: new Date().toISOString() });
    }
  }

  async #conversion(call: Call, route: string, user: string): Promise<void> {
    const { request, response, url } = call;
    const [, verb, id, rest] = /^(\w+) \/conversions(?:\/(\w+))?(?:\/(\w+))?$/.exec(route) ?? [];
    const conversion = id === undefined ? undefined : this.conversions.find(user, id);
    if (verb === 'POST' && id === undefined) await this.#upload(request, response, user);
    else if (verb === 'GET' && id === undefined) {
      const { searchParams } = url;
      json(
        response,
        200,
        this.conversions.page(user, Number(searchParams.get('limit')), searchParams.get('cursor')),
      );
    } else if (conversion === undefined)
      problem(response, 404, 'conversion.unknown', 'You have no such conversion.');
    else if (verb === 'DELETE') {
      this.conversions.remove(conversion);
      response.writeHead(204).end();
    } else if (verb === 'POST' && rest === 'links') {
      const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
      // An address of another origin, as AUDIOWAVE_PUBLIC_URL may make it.
      json(response, 201, {
        url: `https://elsewhere.example/d/${this.conversions.link(conversion)}`,
        expiresAt,
      });
    } else json(response, 200, conversion);
  }

  async #upload(request: IncomingMessage, response: ServerResponse, user: string): Promise<void> {
    if (request.headers['content-type']?.startsWith('application/json') === true) {
      const { url = '' } = await readJson(request);
      const allowed = !url.includes('localhost');
      if (allowed)
        json(response, 201, this.conversions.add(user, { state: 'fetching', source: { kind: 'url', url } }));
      else problem(response, 422, 'import.url-not-allowed', 'Audiowave does not fetch from this URL.');
      return;
    }
    const conversion = this.conversions.add(user, { state: 'uploading' });
    request.once('close', () => {
      if (request.complete) return;
      this.aborted += 1;
      this.conversions.forget(conversion);
    });
    try {
      await this.#store(request, conversion);
    } catch (error) {
      this.conversions.forget(conversion);
      throw error;
    }
    const refusal = this.refuseUploads;
    if (refusal === undefined) {
      json(response, 201, this.conversions.change(conversion.id, { state: 'queued' }));
      return;
    }
    this.conversions.forget(conversion);
    problem(response, refusal.status, refusal.code, refusal.detail);
  }

  async #store(request: IncomingMessage, conversion: FakeConversion): Promise<void> {
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      if (bytes === 0) {
        // Browsers write %22 for a quotation mark and leave everything else as it is (HTML, "multipart/form-data").
        const name = /filename="([^"]*)"/.exec(chunk.toString('utf8'))?.[1] ?? '';
        this.conversions.change(conversion.id, { name: name.replaceAll('%22', '"') });
      }
      bytes += chunk.length;
      await this.hold;
    }
    this.received.set(conversion.id, bytes);
    this.conversions.change(conversion.id, { videoBytes: bytes });
  }
}

async function readJson(request: IncomingMessage): Promise<Record<string, string | undefined>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, string | undefined>;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

function problem(response: ServerResponse, status: number, code: string, detail: string): void {
  const body = { type: `urn:audiowave:error:${code}`, title: detail, status, detail, code, retryable: false };
  response.writeHead(status, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify(body));
}

/** A fake gateway that listens; `close` ends it. */
export async function startFakeGateway(options: FakeOptions = {}): Promise<FakeGateway> {
  const gateway = new FakeGateway(options);
  await gateway.listen();
  return gateway;
}
