import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { MemoryBroker } from '../../../src/adapters/memory/broker.ts';
import { MemoryConversionStore } from '../../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../../src/adapters/memory/file-store.ts';
import { claim, enqueue, nameDraft, newConversion, type Conversion } from '../../../src/domain/conversion.ts';
import { mintFileId, type FileId } from '../../../src/domain/ids.ts';
import type { FileStore } from '../../../src/ports/file-store.ts';
import { startSweeper, type Sweeper, type SweeperOptions } from '../../../src/services/gateway/sweeper.ts';
import { recordedLog } from '../../support/recorded-log.ts';
import { QUEUES, storeFile } from './gateway-fixture.ts';

export const HOUR = 3_600_000;

export interface Setup {
  readonly conversions: MemoryConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: MemoryBroker;
  readonly log: ReturnType<typeof recordedLog>;
  readonly sweeper: Sweeper;
  /** The sweeper's clock runs so far ahead. */
  ahead: number;
}

/** A gateway that has no place for a fetch. */
const NO_PLACE = { resume: () => Promise.resolve(false) };

const OPTIONS = {
  intervalMs: HOUR,
  sourceRetentionMs: 24 * HOUR,
  mp3RetentionMs: null,
  maxAttempts: 3,
  leftoverAgeMs: HOUR,
} satisfies SweeperOptions;

/** A sweeper that runs only when it is asked to, on a clock that the test moves. */
export async function open(t: TestContext, options: Partial<SweeperOptions> = {}): Promise<Setup> {
  const stores = {
    conversions: new MemoryConversionStore(),
    videos: new MemoryFileStore(),
    mp3s: new MemoryFileStore(),
    broker: new MemoryBroker(),
    log: recordedLog(),
  };
  const sweeper = startSweeper(
    { ...stores, queues: QUEUES, fetches: NO_PLACE },
    {
      ...OPTIONS,
      now: () => Date.now() + setup.ahead,
      ...options,
    },
  );
  const setup: Setup = { ...stores, sweeper, ahead: 0 };
  t.after(() => sweeper.stop(0));
  // The run at the start is over when it has come to the last store.
  const first = Promise.withResolvers<undefined>();
  const sweep = stores.mp3s.sweep.bind(stores.mp3s);
  stores.mp3s.sweep = () => {
    first.resolve(undefined);
    return sweep();
  };
  await first.promise;
  return setup;
}

export async function record(
  setup: Setup,
  state: 'uploading' | 'fetching',
  leaseMs: number,
): Promise<Conversion> {
  const now = Date.now();
  const lease = { holder: 'dead', until: now + leaseMs };
  const source = { kind: 'upload' } as const;
  const owner = 'ann@example.com';
  const conversion = newConversion({ id: mintFileId(), owner, state, name: null, source, lease, now });
  await setup.conversions.create(conversion);
  await storeFile(setup.videos, conversion.id, 'bytes');
  return conversion;
}

export async function queued(setup: Setup): Promise<Conversion> {
  const { id } = await record(setup, 'uploading', 60_000);
  const moved = await setup.conversions.update(id, (c) =>
    enqueue(c, 'dead', { bytes: 5, name: null }, Date.now()),
  );
  assert.ok(moved);
  return moved;
}

export async function waiting(setup: Setup, queue: string): Promise<number> {
  return (await setup.broker.depth(queue)).waiting;
}

export async function converting(
  setup: Setup,
  attempts: number,
  draft: FileId | null = null,
): Promise<Conversion> {
  const { id } = await queued(setup);
  const lease = { holder: 'converter', until: Date.now() + 1_000 };
  await setup.conversions.update(id, (c) => ({ ...c, attempts: attempts - 1, unpublished: [] }));
  const claimed = await setup.conversions.update(id, (c) => claim(c, lease, Date.now()));
  assert.equal(claimed?.attempts, attempts);
  if (draft !== null) await setup.conversions.update(id, (c) => nameDraft(c, lease.holder, draft));
  return claimed;
}

/** An ended record without files. */
export async function readyRecord(setup: Setup): Promise<Conversion> {
  const now = Date.now();
  const [owner, source] = ['ann@example.com', { kind: 'upload' }] as const;
  const fields = { id: mintFileId(), owner, state: 'queued', name: null, source, lease: null, now } as const;
  const ready: Conversion = { ...newConversion(fields), state: 'ready', endedAt: now };
  await setup.conversions.create(ready);
  return ready;
}

/** The sweeper of another gateway. */
export function another(t: TestContext, setup: Setup): Sweeper {
  const sweeper = startSweeper(
    { ...setup, queues: QUEUES, fetches: NO_PLACE },
    {
      ...OPTIONS,
      now: () => Date.now() + setup.ahead,
    },
  );
  t.after(() => sweeper.stop(0));
  return sweeper;
}
