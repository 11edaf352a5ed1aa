import type { TestContext } from 'node:test';
import { MemoryBroker } from '../../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import {
  claim,
  enqueue,
  finish,
  markPublished,
  newConversion,
  type Conversion,
} from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { Claims } from '../../../src/domain/user.ts';
import type { AuthApi } from '../../../src/ports/auth-api.ts';
import type { FileStore } from '../../../src/ports/file-store.ts';
import {
  startGateway,
  type GatewayDeps,
  type GatewayOptions,
} from '../../../src/services/gateway/gateway.ts';
import type { FetchResumer } from '../../../src/services/gateway/sweep/sweep-context.ts';
import { collect } from '../../support/bytes.ts';
import { recordedLog } from '../../support/recorded-log.ts';

export const QUEUES = { video: 'video', mp3: 'mp3' };

const EXP = 4_102_444_800;

function claims(username: string, more: Partial<Claims> = {}): Claims {
  return { username, admin: true, exp: EXP, iat: 1_700_000_000, ...more };
}

/** Tokens that the fake auth takes. */
export const TOKENS: Readonly<Record<string, Claims>> = {
  ann: claims('ann@example.com', { role: 'user' }),
  bob: claims('bob@example.com'),
  root: claims('root@example.com', { role: 'admin' }),
  powerless: claims('eve@example.com', { admin: false }),
};

/** Knows one account, `ann@example.com` with `secret`, and the tokens above. */
export class FakeAuth implements AuthApi {
  readonly logins: { readonly email: string; readonly clientAddress: string }[] = [];
  validations = 0;
  failWith: AudiowaveError | undefined;

  login(credentials: { email: string; password: string; clientAddress: string }): Promise<string> {
    this.logins.push(credentials);
    if (this.failWith !== undefined) return Promise.reject(this.failWith);
    const isGood = credentials.email.toLowerCase() === 'ann@example.com' && credentials.password === 'secret';
    return isGood ? Promise.resolve('ann') : Promise.reject(new AudiowaveError('auth.invalid-credentials'));
  }

  validate(token: string): Promise<Claims> {
    this.validations += 1;
    const found = TOKENS[token];
    return found === undefined
      ? Promise.reject(new AudiowaveError('auth.invalid-token'))
      : Promise.resolve(found);
  }

  register({ email }: { email: string }): ReturnType<AuthApi['register']> {
    if (email === 'ann@example.com') return Promise.reject(new AudiowaveError('user.exists'));
    if (!email.includes('@')) return Promise.reject(new AudiowaveError('user.invalid-email'));
    return Promise.resolve({ id: '7', email, role: 'user', createdAt: 1_700_000_000_000 });
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface Fixture {
  readonly url: string;
  readonly port: number;
  readonly auth: FakeAuth;
  readonly conversions: MemoryConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: MemoryBroker;
  readonly log: ReturnType<typeof recordedLog>;
  readonly fetches: FetchResumer;
  stop(graceMs?: number): Promise<void>;
}

/** A gateway on memory stores, stopped after the test. */
export async function openGateway(
  t: Pick<TestContext, 'after'>,
  options: Partial<GatewayOptions> = {},
  deps: Partial<GatewayDeps> = {},
): Promise<Fixture> {
  const auth = new FakeAuth();
  const conversions = new MemoryConversionStore();
  const videos = deps.videos ?? new MemoryFileStore();
  const mp3s = deps.mp3s ?? new MemoryFileStore();
  const broker = new MemoryBroker();
  const log = recordedLog();
  const gateway = await startGateway(
    {
      auth,
      conversions,
      videos,
      mp3s,
      broker,
      log,
      readiness: () => Promise.resolve({ ready: true, checks: [{ name: 'all', ok: true }] }),
      fetchVideo: () => Promise.reject(new AudiowaveError('import.failed')),
      ...deps,
    },
    {
      host: '127.0.0.1',
      port: 0,
      version: '1.2.3',
      maxUploadBytes: 1024 * 1024,
      minFreeDiskBytes: 0,
      trustedProxies: [],
      loginResponse: 'text',
      registration: 'open',
      legacyDownloads: 'closed',
      linkTtlMs: 60_000,
      queues: QUEUES,
      webFolder: undefined,
      holder: 'gateway-1',
      ...options,
    },
  );
  const url = gateway.url ?? '';
  const stop = (graceMs = 0): Promise<void> => gateway.stop(graceMs);
  t.after(() => stop());
  return {
    url,
    port: Number(new URL(url).port),
    auth,
    conversions,
    videos,
    mp3s,
    broker,
    log,
    fetches: gateway.fetches,
    stop,
  };
}

export function bearer(token: string): { readonly authorization: string } {
  return { authorization: `Bearer ${token}` };
}

/** A form with one file part. */
export function fileForm(bytes: string | Uint8Array<ArrayBuffer> = 'video', name = 'talk.mp4'): FormData {
  const form = new FormData();
  form.append('file', new Blob([bytes]), name);
  return form;
}

export async function storeFile(store: FileStore, id: FileId, bytes: Uint8Array | string): Promise<void> {
  const writer = await store.create(id);
  await writer.write(Buffer.from(bytes));
  await writer.commit();
}

/** All bytes of a file; undefined where there is none. */
export async function readFile(store: FileStore, id: FileId): Promise<Buffer | undefined> {
  if ((await store.stat(id)) === undefined) return undefined;
  return collect(store.read(id));
}

/** How many whole files a store holds. */
export async function countFiles(store: FileStore): Promise<number> {
  let count = 0;
  for await (const _info of store.list()) count += 1;
  return count;
}

/** A conversion of `owner` that is ready, with its video and MP3 in the stores. */
export async function readyConversion(
  fixture: Pick<Fixture, 'conversions' | 'videos' | 'mp3s'>,
  owner: string,
  mp3: Uint8Array | string = 'the sound of it',
  name: string | null = 'talk.mp4',
): Promise<Conversion & { readonly mp3Fid: FileId }> {
  const { conversions, videos, mp3s } = fixture;
  const [id, mp3Fid] = [mintFileId(), mintFileId()];
  const now = Date.now();
  const lease = { holder: 'test', until: now + 60_000 };
  await conversions.create(
    newConversion({ id, owner, state: 'uploading', name, source: { kind: 'upload' }, lease, now }),
  );
  await storeFile(videos, id, 'the video');
  await storeFile(mp3s, mp3Fid, mp3);
  await conversions.update(id, (c) => enqueue(c, 'test', { bytes: 9, name }, now));
  await conversions.update(id, (c) => claim(c, lease, now));
  const result = { mp3Fid, mp3Bytes: Buffer.byteLength(mp3), durationMs: 1234, incomplete: false };
  await conversions.update(id, (c) => finish(c, 'test', result, now));
  const ready = await conversions.update(id, (c) => markPublished(c, 'mp3'));
  if (ready === undefined) throw new Error('The conversion did not become ready.');
  return { ...ready, mp3Fid };
}

/** What lies in a queue, oldest first; they stay there. */
export async function messagesOf(broker: MemoryBroker, queue: string): Promise<Record<string, unknown>[]> {
  const bodies: Record<string, unknown>[] = [];
  const { waiting } = await broker.depth(queue);
  if (waiting === 0) return bodies;
  const options = { prefetch: 100, maxAttempts: 100, backoffMs: () => 0 };
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const consumer = await broker.consume(queue, options, ({ body }) => {
    if (bodies.length < waiting) bodies.push(body);
    if (bodies.length === waiting) resolve(undefined);
    return Promise.resolve({ kind: 'retry', reason: 'only read', delayMs: 60_000, counted: false });
  });
  await promise;
  await consumer.stop(1_000);
  return bodies;
}
