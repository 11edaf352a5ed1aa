import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../tests/support/random.ts';
import { eventually } from '../../tests/support/eventually.ts';
import { chooseInput, inputOf, nameOf, type Input } from './inputs.ts';

/** Somebody with an account. */
export interface Owner {
  readonly email: string;
  readonly password: string;
  token: string;
}

/** A video that was answered with success. */
export interface Accepted {
  readonly id: string;
  readonly owner: string;
  readonly kind: 'upload' | 'url';
  readonly input: Input;
}

export interface TrafficOptions {
  readonly gateways: readonly string[];
  readonly inputs: readonly Input[];
  readonly seed: number;
  readonly perSecond: number;
}

const OWNERS = 24;
const URL_SHARE = 0.2;
const LOGIN_EVERY = 8;
const REQUEST_DEADLINE_MS = 60_000;

/** Clients: owners who send videos and addresses of videos at a steady rate to whichever gateway, come what may. */
export class Traffic {
  readonly owners: readonly Owner[];
  readonly accepted: Accepted[] = [];
  /** How often each answer was given: `upload 200`, `url none: ECONNREFUSED`, `login 500`. */
  readonly answers = new Map<string, number>();
  sent = 0;
  readonly #options: TrafficOptions;
  readonly #random: () => number;
  readonly #web: Server;
  readonly #running = new Set<Promise<void>>();

  private constructor(options: TrafficOptions, web: Server) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#web = web;
    this.owners = Array.from({ length: OWNERS }, (_, n) => ({
      email: `owner-${String(n + 1)}@chaos.example`,
      password: `secret of owner ${String(n + 1)}`,
      token: '',
    }));
  }

  /** Makes the accounts, and the web server that URL requests name. */
  static async prepare(options: TrafficOptions): Promise<Traffic> {
    const web = createServer((request, response) => {
      const input = inputOf(options.inputs, (request.url ?? '').slice(1));
      response.writeHead(input === undefined ? 404 : 200, { 'content-type': 'video/mp4' });
      response.end(input?.bytes);
    }).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const traffic = new Traffic(options, web);
    for (const owner of traffic.owners) await traffic.#register(owner);
    return traffic;
  }

  async #register(owner: Owner): Promise<void> {
    const { email, password } = owner;
    await eventually(`${email} has an account`, async () => {
      const made = await this.#post('/api/v1/users', { 'content-type': 'application/json' }, () =>
        JSON.stringify({ email, password }),
      );
      if (![201, 409].includes(made.status)) throw new Error(`${String(made.status)} ${await made.text()}`);
      await this.#login(owner);
      return owner.token !== '';
    });
  }

  /** Sends until `until` (by Date.now()), and resolves when the last one is answered. */
  async run(until: number): Promise<void> {
    const begun = Date.now();
    for (let number = 1; Date.now() < until; number++) {
      this.#begin(() => this.#sendOne(number));
      if (number % LOGIN_EVERY === 0) this.#begin(() => this.#login(this.#anyOwner()));
      // A steady rate: what is late does not make the next one late.
      const next = begun + (number * 1000) / this.#options.perSecond;
      await delay(Math.max(0, next - Date.now()));
    }
    await Promise.all(this.#running);
  }

  /** Its web server must outlive the fetches that still go on. */
  close(): void {
    this.#web.close();
    this.#web.closeAllConnections();
  }

  #begin(work: () => Promise<void>): void {
    const running: Promise<void> = work().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #sendOne(number: number): Promise<void> {
    const owner = this.#anyOwner();
    const input = chooseInput(this.#options.inputs, this.#random());
    const kind = this.#random() < URL_SHARE ? 'url' : 'upload';
    const name = nameOf(number, input);
    this.sent += 1;
    const bearer = { authorization: `Bearer ${owner.token}` };
    await this.#count(kind, async () => {
      const answer =
        kind === 'upload'
          ? await this.#post('/upload', bearer, () => videoForm(input, name))
          : await this.#post('/upload', { ...bearer, 'content-type': 'application/json' }, () =>
              JSON.stringify({ url: `${this.#webUrl()}/${name}` }),
            );
      const body = await answer.text();
      const id = answer.headers.get('x-conversion-id');
      if (answer.status === 200 && body === 'success!' && id !== null) {
        this.accepted.push({ id, owner: owner.email, kind, input });
      }
      return answer.status;
    });
  }

  async #login(owner: Owner): Promise<void> {
    const basic = Buffer.from(`${owner.email}:${owner.password}`).toString('base64');
    await this.#count('login', async () => {
      const answer = await this.#post('/login', { authorization: `Basic ${basic}` });
      const token = await answer.text();
      if (answer.status === 200) owner.token = token;
      return answer.status;
    });
  }

  /** A request whose gateway dies has no answer. */
  async #count(what: string, request: () => Promise<number>): Promise<void> {
    const answer = await request().catch((error: unknown) => `none: ${reasonOf(error)}`);
    const key = `${what} ${String(answer)}`;
    this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
  }

  #post(
    path: string,
    headers: Record<string, string>,
    body: () => string | FormData | undefined = () => undefined,
  ): Promise<Response> {
    const gateway = this.#any(this.#options.gateways);
    const content = body();
    return fetch(`${gateway}${path}`, {
      method: 'POST',
      headers,
      signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
      ...(content === undefined ? {} : { body: content }),
    });
  }

  #anyOwner(): Owner {
    return this.#any(this.owners);
  }

  #any<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.#random() * values.length)];
    if (value === undefined) throw new Error('Nothing to choose from');
    return value;
  }

  #webUrl(): string {
    return `http://127.0.0.1:${String((this.#web.address() as AddressInfo).port)}`;
  }
}

/** Why a request has no answer: `ECONNREFUSED` while the gateway is away, `UND_ERR_SOCKET` where it died meanwhile. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}

function videoForm(input: Input, name: string): FormData {
  const form = new FormData();
  form.append('file', new Blob([new Uint8Array(input.bytes)], { type: 'video/mp4' }), name);
  return form;
}
