import type { TestContext } from 'node:test';
import { MemoryBroker } from '../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../src/adapters/memory/file-store.ts';
import { MemoryMailer } from '../../src/adapters/memory/mailer.ts';
import { MemoryQueues } from '../../src/adapters/memory/queues.ts';
import { newConversion, type Conversion } from '../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { Mail } from '../../src/domain/mail.ts';
import type { MessageBody } from '../../src/domain/messages.ts';
import type { ConversionStore } from '../../src/ports/conversion-store.ts';
import type { Mailer } from '../../src/ports/mailer.ts';
import type { RunningRole } from '../../src/ports/role.ts';
import { startNotification, type NotificationOptions } from '../../src/services/notification/notification.ts';
import { breakable, type Breakable } from './breakable.ts';
import { eventually } from './eventually.ts';
import { recordedLog } from './recorded-log.ts';

export const OWNER = 'ann@example.com';
export const PUBLIC_URL = 'https://audio.example.com';
export const NOTIFICATION_OPTIONS: NotificationOptions = {
  queues: { video: 'video', mp3: 'mp3' },
  mailFrom: 'noreply@audio.example.com',
  publicUrl: PUBLIC_URL,
  linkTtlMs: 7 * 86_400_000,
  concurrency: 4,
  pauseMs: 20,
};

/** Notification on memory adapters. */
export interface NotificationStage {
  readonly records: MemoryConversionStore;
  readonly conversions: Breakable<ConversionStore>;
  readonly mp3s: MemoryFileStore;
  readonly queues: MemoryQueues;
  readonly broker: MemoryBroker;
  /** Holds what was sent. */
  readonly outbox: MemoryMailer;
  readonly mailer: Breakable<Mailer>;
  readonly log: ReturnType<typeof recordedLog>;
  readonly role: RunningRole;
}

export async function notificationStage(
  t: TestContext,
  options: Partial<NotificationOptions> = {},
): Promise<NotificationStage> {
  return startOn(t, options, {
    records: new MemoryConversionStore(),
    mp3s: new MemoryFileStore(),
    queues: new MemoryQueues(),
    outbox: new MemoryMailer(),
  });
}

/** Another process on the same stores, queues and mail server. */
export async function neighbour(
  t: TestContext,
  stage: NotificationStage,
  options: Partial<NotificationOptions> = {},
): Promise<NotificationStage> {
  return startOn(t, options, stage);
}

async function startOn(
  t: TestContext,
  options: Partial<NotificationOptions>,
  { records, mp3s, queues, outbox }: Pick<NotificationStage, 'records' | 'mp3s' | 'queues' | 'outbox'>,
): Promise<NotificationStage> {
  const conversions = breakable<ConversionStore>(records);
  const broker = new MemoryBroker(queues);
  const mailer = breakable<Mailer>(outbox);
  const log = recordedLog();
  const role = await startNotification(
    { conversions: conversions.port, mp3s, broker, mailer: mailer.port, log },
    { ...NOTIFICATION_OPTIONS, ...options },
  );
  t.after(async () => {
    await role.stop(0);
    await broker.close();
  });
  return { records, conversions, mp3s, queues, broker, outbox, mailer, log, role };
}

/** Stores an MP3, as a converter of another implementation does; its id. */
export async function storeForeignMp3({ mp3s }: NotificationStage): Promise<FileId> {
  const id = mintFileId();
  const writer = await mp3s.create(id);
  await writer.write(Buffer.from('an MP3'));
  await writer.commit();
  return id;
}

/** A record that has become `ready`, and whose mail is due. */
export async function storeReady(
  { conversions }: NotificationStage,
  changes: Partial<Conversion> = {},
): Promise<Conversion> {
  const ready: Conversion = {
    ...record(),
    state: 'ready',
    mp3Fid: mintFileId(),
    mp3Bytes: 4_567_890,
    durationMs: 190_250,
    mail: 'due',
    endedAt: Date.now(),
    ...changes,
  };
  await conversions.port.create(ready);
  return ready;
}

/** A record that has become `failed`, and whose mail is due. */
export async function storeFailed(
  { conversions }: NotificationStage,
  changes: Partial<Conversion> = {},
): Promise<Conversion> {
  const failure = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;
  const failed: Conversion = { ...record(), state: 'failed', failure, mail: 'due', ...changes };
  await conversions.port.create(failed);
  return failed;
}

function record(): Conversion {
  const [state, source, lease, now] = ['queued', { kind: 'upload' }, null, Date.now()] as const;
  return newConversion({ id: mintFileId(), owner: OWNER, name: 'My talk.mp4', state, source, lease, now });
}

/** Sends the announcement of a record. */
export async function announce(
  { broker }: NotificationStage,
  { id, mp3Fid, owner }: Pick<Conversion, 'id' | 'mp3Fid' | 'owner'>,
  more: MessageBody = {},
): Promise<void> {
  const body = { video_fid: id, mp3_fid: mp3Fid, username: owner, ...more };
  await broker.publish(mp3Fid === null ? 'audiowave.failed' : 'mp3', body);
}

/** Waits until both queues are empty. */
export async function settled({ broker }: NotificationStage): Promise<void> {
  for (const queue of ['mp3', 'audiowave.failed']) {
    await eventually(`queue ${queue} is empty`, async () => {
      const { waiting, unacknowledged } = await broker.depth(queue);
      return waiting === 0 && unacknowledged === 0;
    });
  }
}

/** Announces a record and waits for its mail; the last one that was sent. */
export async function mailOf(stage: NotificationStage, conversion: Conversion): Promise<Mail> {
  const before = stage.outbox.sent.length;
  await announce(stage, conversion);
  return eventually('the mail is sent', () =>
    stage.outbox.sent.length > before ? stage.outbox.sent.at(-1) : undefined,
  );
}

/** The record, which must be there. */
export async function found({ conversions }: NotificationStage, id: FileId): Promise<Conversion> {
  return eventually('the record is there', () => conversions.port.find(id));
}
