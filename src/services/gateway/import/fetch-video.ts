import { lookup as systemLookup } from 'node:dns/promises';
import { Client, errors, type Dispatcher } from 'undici';
import { AudiowaveError } from '../../../domain/errors.ts';
import type { Logger } from '../../../ports/logger.ts';
import { checkAnswer, field, isRedirect } from './check-answer.ts';
import { checkUrlForm } from './check-import-url.ts';
import { FetchWatch } from './fetch-watch.ts';
import { ImportAllowList } from './import-allow-list.ts';
import { pinnedLookup, resolveTarget, type LookupAll } from './resolve-target.ts';
import { VideoBody } from './video-body.ts';
import { videoName } from './video-name.ts';

export { checkImportUrl } from './check-import-url.ts';

/**
 * Fetches the video behind a URL. Resolves when the server has begun to answer with one. `import.url-not-allowed` for
 * an address that is not public and not allowed, also behind a redirect; `import.failed`, `import.too-large`,
 * `import.timed-out`; the signal's reason where the caller gives up. The body fails with the same errors, and never ends
 * well before it is whole. It must be read to its end, left by return(), or ended by the signal.
 */
export type FetchVideo = (
  url: URL,
  options: { readonly maxBytes: number; readonly signal: AbortSignal },
) => Promise<{ readonly body: AsyncIterable<Uint8Array>; readonly name: string | null }>;

export interface FetchVideoOptions {
  /** Hosts, addresses and CIDRs that are allowed though they are not public (`IMPORT_ALLOW`). */
  readonly allow: readonly string[];
  /** The longest that all of a fetch may take. */
  readonly timeoutMs: number;
  /** The longest silence before the head of an answer is whole, and between two pieces of its body; 30 s by default. */
  readonly idleMs?: number;
  /** The longest that a name look-up, and a connection with its TLS handshake, may take; 10 s by default. */
  readonly connectTimeoutMs?: number;
  /** 5 by default. */
  readonly maxRedirects?: number;
  /** The system's resolver by default. */
  readonly lookup?: LookupAll;
  readonly log: Logger;
}

type Settings = Required<Omit<FetchVideoOptions, 'allow'>> & { readonly allow: ImportAllowList };

/** One answer, and the connection it comes over. */
interface Answer {
  readonly client: Client;
  readonly response: Dispatcher.ResponseData;
}

/** The most bytes of an answer's header fields. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Makes the fetcher. Each connection goes to an address that was checked: the name is looked up once, and undici
 * connects to what that gave. No proxy, cookie or credential of this machine takes part. A redirect from https to http
 * is followed, as browsers do for downloads: nothing secret is sent. `config.invalid` for a bad entry of `allow`.
 */
export function createFetchVideo(options: FetchVideoOptions): FetchVideo {
  const settings: Settings = {
    idleMs: 30_000,
    connectTimeoutMs: 10_000,
    maxRedirects: 5,
    lookup: (hostname) => systemLookup(hostname, { all: true }),
    ...options,
    allow: new ImportAllowList(options.allow),
  };
  return async (url, { maxBytes, signal }) => {
    const watch = new FetchWatch(signal, settings.timeoutMs);
    let answer: Answer | undefined;
    let place = url;
    try {
      for (let redirects = 0; ; redirects++) {
        answer = await ask(place, settings, watch);
        const next = redirectTarget(place, answer.response);
        if (next === undefined) break;
        if (redirects >= settings.maxRedirects) throw failed('The URL redirects too often.', place.host);
        await hangUp(answer.client);
        place = next;
      }
      const { statusCode, headers, body } = answer.response;
      const length = checkAnswer(statusCode, headers, maxBytes);
      const { client } = answer;
      const end = async (): Promise<void> => {
        watch.end();
        await hangUp(client);
      };
      const { idleMs } = settings;
      return {
        body: new VideoBody(body, { watch, end, idleMs, length, maxBytes }),
        name: videoName(place, headers),
      };
    } catch (error) {
      watch.end();
      if (answer !== undefined) await hangUp(answer.client);
      throw watch.signal.aborted ? watch.signal.reason : translate(error, place);
    }
  };
}

async function ask(url: URL, settings: Settings, watch: FetchWatch): Promise<Answer> {
  checkUrlForm(url);
  const { allow, lookup, connectTimeoutMs, idleMs, log } = settings;
  const resolving = watch.leaving(resolveTarget(url, allow, lookup));
  const addresses = await watch.within(connectTimeoutMs, resolving);
  const client = new Client(url.origin, {
    connect: { lookup: pinnedLookup(addresses), timeout: connectTimeoutMs },
    autoSelectFamily: true,
    allowH2: false,
    pipelining: 0,
    maxHeaderSize: MAX_HEADER_BYTES,
    // The watch keeps the time, to the millisecond and not while a slow disk keeps the body waiting.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  try {
    const asking = client.request({
      method: 'GET',
      path: url.pathname + url.search,
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'audiowave' },
      signal: watch.signal,
    });
    const response = await watch.within(connectTimeoutMs + idleMs, asking);
    // A body that is given up fails; without a listener that would end the process.
    response.body.on('error', () => undefined);
    log.debug({ host: url.host, status: response.statusCode }, 'import answered');
    return { client, response };
  } catch (error) {
    await hangUp(client);
    throw error;
  }
}

function redirectTarget(from: URL, { statusCode, headers }: Dispatcher.ResponseData): URL | undefined {
  if (!isRedirect(statusCode)) return undefined;
  const target = URL.parse(field(headers, 'location'), from.href);
  if (headers.location === undefined || target === null) {
    throw failed('The URL redirects to nowhere.', from.host);
  }
  return target;
}

async function hangUp(client: Client): Promise<void> {
  // Whatever goes wrong while a connection is thrown away is of no matter.
  await client.destroy().catch(() => undefined);
}

function translate(error: unknown, place: URL): unknown {
  if (error instanceof AudiowaveError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = `${place.host}: ${code} ${error instanceof Error ? error.message : String(error)}`;
  if (error instanceof errors.ConnectTimeoutError || code === 'ETIMEDOUT') {
    return new AudiowaveError('import.timed-out', undefined, { cause: error, detail });
  }
  if (/^ERR_TLS_|CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return failed('The certificate of the server behind the URL is not valid.', detail, error);
  }
  return failed('The server behind the URL could not be reached.', detail, error);
}

function failed(message: string, detail: string, cause?: unknown): AudiowaveError {
  return new AudiowaveError('import.failed', message, { detail, cause });
}
