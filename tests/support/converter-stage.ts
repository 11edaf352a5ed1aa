import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { MemoryBroker } from '../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../src/adapters/memory/file-store.ts';
import { newConversion, type Conversion } from '../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../src/domain/ids.ts';
import type { MessageBody } from '../../src/domain/messages.ts';
import type { Broker } from '../../src/ports/broker.ts';
import type { Change, ConversionStore } from '../../src/ports/conversion-store.ts';
import type { FileStore } from '../../src/ports/file-store.ts';
import type { RunningRole } from '../../src/ports/role.ts';
import { startConverter, type ConverterOptions } from '../../src/services/converter/converter.ts';
import { breakable, type Breakable } from './breakable.ts';
import { eventually } from './eventually.ts';
import { recordedLog } from './recorded-log.ts';
import type { ScriptedEngine } from './scripted-engine.ts';

export const OWNER = 'ann@example.com';

/** A converter on memory adapters, each of which can be taken away. */
export interface ConverterStage {
  readonly conversions: Breakable<ConversionStore>;
  readonly videos: Breakable<FileStore>;
  readonly mp3s: Breakable<FileStore>;
  readonly broker: Breakable<Broker>;
  readonly engine: ScriptedEngine;
  readonly log: ReturnType<typeof recordedLog>;
  readonly role: RunningRole;
  /** Every record as it was after each update, in order. */
  readonly history: readonly Conversion[];
  /** Another converter on the same adapters, as another process would be. */
  another(): Promise<RunningRole>;
}

class WatchedStore extends MemoryConversionStore {
  readonly history: Conversion[] = [];

  override async update(id: FileId, change: Change): Promise<Conversion | undefined> {
    const updated = await super.update(id, change);
    if (updated !== undefined) this.history.push(updated);
    return updated;
  }
}

export async function converterStage(
  t: TestContext,
  engine: ScriptedEngine,
  options: Partial<ConverterOptions> = {},
): Promise<ConverterStage> {
  const store = new WatchedStore();
  const parts = {
    conversions: breakable<ConversionStore>(store),
    videos: breakable<FileStore>(new MemoryFileStore()),
    mp3s: breakable<FileStore>(new MemoryFileStore()),
    broker: breakable<Broker>(new MemoryBroker()),
  };
  const log = recordedLog();
  const { conversions, videos, mp3s, broker } = parts;
  const deps = {
    ...{ conversions: conversions.port, videos: videos.port, mp3s: mp3s.port, broker: broker.port },
    ...{ engine, log },
  };
  const roles: RunningRole[] = [];
  const start = async (): Promise<RunningRole> => {
    const role = await startConverter(deps, {
      queues: { video: 'video', mp3: 'mp3' },
      concurrency: 2,
      maxAttempts: 3,
      leaseMs: 2_000,
      renewMs: 25,
      pauseMs: 25,
      holder: `converter-${String(roles.length)}`,
      ...options,
    });
    roles.push(role);
    return role;
  };
  const role = await start();
  t.after(async () => {
    await Promise.all(roles.map((one) => one.stop(0)));
    await broker.port.close();
  });
  return { ...parts, engine, log, role, history: store.history, another: start };
}

/** Stores a video, as a gateway does, without a record. */
export async function storeVideo({ videos }: ConverterStage, content = 'video'): Promise<FileId> {
  const id = mintFileId();
  const writer = await videos.port.create(id);
  await writer.write(Buffer.from(content));
  await writer.commit();
  return id;
}

/** Stores a video and its `queued` record. */
export async function storeUpload(stage: ConverterStage, changes: Partial<Conversion> = {}): Promise<FileId> {
  const id = await storeVideo(stage);
  const [state, source, now] = ['queued', { kind: 'upload' }, Date.now()] as const;
  const fields = { id, owner: OWNER, state, name: 'talk.mp4', source, lease: null, now };
  await stage.conversions.port.create({ ...newConversion(fields), videoBytes: 5, ...changes });
  return id;
}

/** Sends the `video` message of a FileId. */
export async function send(stage: ConverterStage, id: FileId, more: MessageBody = {}): Promise<void> {
  await stage.broker.port.publish('video', { video_fid: id, mp3_fid: null, username: OWNER, ...more });
}

/** Waits until the record looks like that. */
export function record(
  { conversions }: ConverterStage,
  id: FileId,
  what: string,
  looks: (conversion: Conversion) => boolean,
): Promise<Conversion> {
  return eventually(`the record is ${what}`, async () => {
    const found = await conversions.port.find(id);
    return found !== undefined && looks(found) ? found : undefined;
  });
}

/** Waits until queue `video` is empty. */
export function settled({ broker }: ConverterStage): Promise<unknown> {
  return eventually('no message of queue video is left', async () => {
    const { waiting, unacknowledged } = await broker.port.depth('video');
    return waiting === 0 && unacknowledged === 0;
  });
}

/** The messages of a queue, taken out of it until it is empty. */
export async function drainQueue({ broker }: ConverterStage, queue: string): Promise<readonly MessageBody[]> {
  const bodies: MessageBody[] = [];
  const options = { prefetch: 10, maxAttempts: 1, backoffMs: () => 0 };
  const consumer = await broker.port.consume(queue, options, ({ body }) => {
    bodies.push(body);
    return Promise.resolve({ kind: 'done' });
  });
  await eventually(`queue ${queue} is empty`, async () => {
    const { waiting, unacknowledged } = await broker.port.depth(queue);
    return waiting === 0 && unacknowledged === 0;
  });
  await consumer.stop(1_000);
  return bodies;
}

/** All whole MP3s. */
export async function mp3Ids({ mp3s }: ConverterStage): Promise<readonly FileId[]> {
  const ids: FileId[] = [];
  for await (const { id } of mp3s.port.list()) ids.push(id);
  return ids;
}

/** The one MP3 there is: its id and its text. */
export async function onlyMp3(stage: ConverterStage): Promise<{ id: FileId; text: string }> {
  const [id, ...more] = await mp3Ids(stage);
  assert.ok(id !== undefined && more.length === 0, `one MP3, not ${String(more.length + (id ? 1 : 0))}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of stage.mp3s.port.read(id)) chunks.push(chunk);
  return { id, text: Buffer.concat(chunks).toString() };
}
