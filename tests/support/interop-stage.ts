import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { GridFSBucket, MongoClient, ObjectId } from 'mongodb';
import { Connection, type Consumer } from 'rabbitmq-client';
import { MemoryMailer } from '../../src/adapters/memory/mailer.ts';
import { MemoryUserStore } from '../../src/adapters/memory/user-store.ts';
import { MongoConversionStore } from '../../src/adapters/mongodb/conversion-store.ts';
import { GridFsFileStore } from '../../src/adapters/mongodb/file-store.ts';
import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import type { FileId } from '../../src/domain/ids.ts';
import type { Broker } from '../../src/ports/broker.ts';
import type { ConversionStore } from '../../src/ports/conversion-store.ts';
import type { FileStore } from '../../src/ports/file-store.ts';
import type { RunningRole } from '../../src/ports/role.ts';
import { AuthService } from '../../src/services/auth/auth-service.ts';
import { startConverter } from '../../src/services/converter/converter.ts';
import { startGateway } from '../../src/services/gateway/gateway.ts';
import { startSweeper } from '../../src/services/gateway/sweeper.ts';
import { startNotification } from '../../src/services/notification/notification.ts';
import { collect } from './bytes.ts';
import { recordedLog } from './recorded-log.ts';
import type { ScriptedEngine } from './scripted-engine.ts';
import type { MongoDbServer } from './servers/mongodb.ts';
import type { RabbitMqServer } from './servers/rabbitmq.ts';

export const SECRET = 'sarcasm';
export const QUEUES = { video: 'video', mp3: 'mp3' };

/** Our roles on a virtual host and databases of their own, and the same through clients that know nothing of us. */
export interface InteropStage {
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: Broker;
  readonly mailer: MemoryMailer;
  readonly foreign: Foreign;
  /** With auth and a sweeper; its URL. */
  gateway(legacyDownloads?: 'open' | 'closed'): Promise<string>;
  converter(engine: ScriptedEngine): Promise<RunningRole>;
  notification(): Promise<void>;
}

/** What another implementation of the family is made of: an AMQP client and two GridFS buckets with their defaults. */
export class Foreign {
  readonly connection: Connection;
  readonly #buckets: Readonly<Record<'videos' | 'mp3s', GridFSBucket>>;
  readonly #consumers: Consumer[] = [];

  constructor(connection: Connection, buckets: Readonly<Record<'videos' | 'mp3s', GridFSBucket>>) {
    this.connection = connection;
    this.#buckets = buckets;
  }

  /** Both queues as the family's guides make them by hand: classic, durable, without arguments. */
  async declareQueues(): Promise<void> {
    for (const queue of Object.values(QUEUES)) await this.connection.queueDeclare({ queue, durable: true });
  }

  /** Stores a file without metadata; its id on the wire. */
  async store(bucket: 'videos' | 'mp3s', bytes: string): Promise<FileId> {
    const upload = this.#buckets[bucket].openUploadStream('');
    upload.end(Buffer.from(bytes));
    await once(upload, 'finish');
    return upload.id.toHexString() as FileId;
  }

  read(bucket: 'videos' | 'mp3s', fid: string): Promise<Buffer> {
    return collect(this.#buckets[bucket].openDownloadStream(new ObjectId(fid)));
  }

  /** Sends a body with nothing but `delivery_mode` 2. */
  async send(queue: string, body: object | string): Promise<void> {
    const publisher = this.connection.createPublisher({ confirm: true });
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    await publisher.send({ routingKey: queue, durable: true }, bytes);
    await publisher.close();
  }

  /** Calls `handle` with each body of a queue, one after another, and acknowledges when it has resolved. */
  async consume(queue: string, handle: (body: Record<string, unknown>) => Promise<void>): Promise<void> {
    const consumer = this.connection.createConsumer(
      { queue, queueOptions: { passive: true }, qos: { prefetchCount: 1 } },
      async (message) => {
        await handle(bodyOf(message.body));
      },
    );
    consumer.on('error', () => undefined);
    this.#consumers.push(consumer);
    await once(consumer, 'ready');
  }

  /** Ends what it consumes, then its connection. */
  async close(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.close()));
    await this.connection.close();
  }

  /** A converter of the family: takes `video`, stores the MP3, sends `mp3` with the three fields. */
  async convert(): Promise<void> {
    await this.consume(QUEUES.video, async (body) => {
      const video = await this.read('videos', String(body.video_fid));
      const mp3_fid = await this.store('mp3s', `foreign:${video.toString()}`);
      await this.send(QUEUES.mp3, { video_fid: body.video_fid, mp3_fid, username: body.username });
    });
  }
}

export async function interopStage(
  t: TestContext,
  servers: { readonly rabbitmq: RabbitMqServer; readonly mongodb: MongoDbServer },
): Promise<InteropStage> {
  const log = recordedLog();
  const vhost = await servers.rabbitmq.freshUrl();
  const urls = {
    records: servers.mongodb.freshUrl('audiowave'),
    videos: servers.mongodb.freshUrl('videos'),
    mp3s: servers.mongodb.freshUrl('mp3s'),
  };
  const closing: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of closing.reverse()) await close();
  });
  function closed<T extends { close(): Promise<unknown> }>(opened: T): T {
    closing.push(() => opened.close());
    return opened;
  }
  const stores = {
    conversions: closed(MongoConversionStore.open(urls.records, { log })),
    videos: closed(await GridFsFileStore.open(urls.videos, { log })),
    mp3s: closed(await GridFsFileStore.open(urls.mp3s, { log })),
    broker: closed(await RabbitMqBroker.open(vhost, { log })),
    log,
  };
  const client = closed(new MongoClient(servers.mongodb.url));
  const bucket = (url: string): GridFSBucket => new GridFSBucket(client.db(new URL(url).pathname.slice(1)));
  const connection = new Connection(vhost);
  connection.on('error', () => undefined);
  const foreign = closed(new Foreign(connection, { videos: bucket(urls.videos), mp3s: bucket(urls.mp3s) }));
  const mailer = new MemoryMailer();
  const running = <R extends RunningRole>(role: R): R => {
    closing.push(() => role.stop(1_000));
    return role;
  };

  return {
    ...stores,
    foreign,
    mailer,
    gateway: async (legacyDownloads = 'closed') => {
      const users = new MemoryUserStore();
      const auth = new AuthService({
        ...{ users, secret: SECRET, registration: 'open', rehash: true, tokenTtlMs: 3_600_000, log },
      });
      closing.push(() => auth.close());
      const gateway = running(
        await startGateway(
          {
            ...stores,
            auth,
            readiness: () => Promise.resolve({ ready: true, checks: [] }),
            fetchVideo: () => Promise.reject(new AudiowaveError('import.failed')),
          },
          {
            ...{ host: '127.0.0.1', port: 0, version: '1.2.3', maxUploadBytes: 1e8, minFreeDiskBytes: 0 },
            ...{ trustedProxies: [], loginResponse: 'text', registration: 'open', legacyDownloads },
            ...{ linkTtlMs: 60_000, queues: QUEUES, webFolder: undefined, holder: 'gateway-1' },
          },
        ),
      );
      running(
        startSweeper(
          { ...stores, queues: QUEUES, fetches: gateway.fetches },
          {
            ...{ intervalMs: 500, sourceRetentionMs: 86_400_000, mp3RetentionMs: null, maxAttempts: 3 },
            leftoverAgeMs: 3_600_000,
          },
        ),
      );
      return gateway.url ?? '';
    },
    converter: async (engine) =>
      running(
        await startConverter(
          { ...stores, engine },
          {
            ...{ queues: QUEUES, concurrency: 2, maxAttempts: 3, leaseMs: 10_000, renewMs: 200 },
            ...{ pauseMs: 200, holder: `converter-${String(closing.length)}` },
          },
        ),
      ),
    notification: async () => {
      running(
        await startNotification(
          { ...stores, mailer },
          {
            ...{ queues: QUEUES, mailFrom: 'noreply@example.com', publicUrl: 'https://audio.example.com' },
            ...{ linkTtlMs: 60_000, concurrency: 2, pauseMs: 500 },
          },
        ),
      );
    },
  };
}

/** The client here reads JSON by itself where a message says that it is JSON, as ours do. */
function bodyOf(body: unknown): Record<string, unknown> {
  return (Buffer.isBuffer(body) ? JSON.parse(body.toString()) : body) as Record<string, unknown>;
}
