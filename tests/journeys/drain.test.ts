import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { MemoryConversionStore } from '../../src/adapters/memory/conversion-store.ts';
import { MemoryFileStore } from '../../src/adapters/memory/file-store.ts';
import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import { newConversion } from '../../src/domain/conversion.ts';
import { mintFileId } from '../../src/domain/ids.ts';
import type { AudioRequest, AudioResult } from '../../src/ports/audio-engine.ts';
import type { Broker } from '../../src/ports/broker.ts';
import { startConverter } from '../../src/services/converter/converter.ts';
import { eventually } from '../support/eventually.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { encode, ScriptedEngine } from '../support/scripted-engine.ts';
import { startRabbitMq, type RabbitMqServer } from '../support/servers/rabbitmq.ts';

const MESSAGES = 10_000;
const CONVERTERS = 4;
const DEADLINE_MS = 180_000;

let rabbitmq: RabbitMqServer;

before(async () => {
  rabbitmq = await startRabbitMq();
});

after(() => rabbitmq.stop());

class CountingEngine extends ScriptedEngine {
  count = 0;

  override convert(request: AudioRequest): Promise<AudioResult> {
    this.count += 1;
    return encode(request);
  }
}

/** Puts 10,000 videos into the queue, then lets four converters drain it, each on a connection of its own. */
async function drain(t: TestContext, open: () => Promise<Broker>): Promise<readonly number[]> {
  const log = recordedLog();
  const [conversions, videos, mp3s] = [
    new MemoryConversionStore(),
    new MemoryFileStore(),
    new MemoryFileStore(),
  ];
  const publisher = await open();
  t.after(() => publisher.close());
  const send = async (): Promise<void> => {
    const [id, owner, source, now] = [
      mintFileId(),
      'ann@example.com',
      { kind: 'upload' },
      Date.now(),
    ] as const;
    const writer = await videos.create(id);
    await writer.commit();
    await conversions.create(
      newConversion({ id, owner, state: 'queued', name: null, source, lease: null, now }),
    );
    await publisher.publish('video', { video_fid: id, mp3_fid: null, username: owner });
  };
  for (let sent = 0; sent < MESSAGES; sent += 500) await Promise.all(Array.from({ length: 500 }, send));

  const engines = Array.from({ length: CONVERTERS }, () => new CountingEngine());
  const startedAt = Date.now();
  for (const [n, engine] of engines.entries()) {
    const broker = await open();
    t.after(() => broker.close());
    const role = await startConverter(
      { conversions, videos, mp3s, broker, engine, log },
      {
        ...{ queues: { video: 'video', mp3: 'mp3' }, concurrency: 2, maxAttempts: 3, leaseMs: 60_000 },
        ...{ renewMs: 5_000, pauseMs: 1_000, holder: `converter-${String(n)}` },
      },
    );
    t.after(() => role.stop(1_000));
  }
  const total = (): number => engines.reduce((sum, { count }) => sum + count, 0);
  await eventually('the queue is empty', () => total() >= MESSAGES, DEADLINE_MS);
  await eventually(
    'all are announced',
    async () => (await publisher.depth('mp3')).waiting >= MESSAGES,
    60_000,
  );
  assert.equal(total(), MESSAGES, 'each once');
  const counts = engines.map(({ count }) => count);
  t.diagnostic(`${String(Date.now() - startedAt)} ms; conversions by converter: ${counts.join(', ')}`);
  return counts;
}

/** No converter has less than 80 or more than 120 % of its share. */
function assertEven(counts: readonly number[]): void {
  const share = MESSAGES / CONVERTERS;
  for (const count of counts) {
    assert.ok(Math.abs(count - share) <= share / 5, `spread: ${counts.join(', ')}`);
  }
}

void test('a queue of 10,000 messages on RabbitMQ drains evenly over converters', async (t) => {
  const url = await rabbitmq.freshUrl();
  assertEven(await drain(t, () => RabbitMqBroker.open(url, { log: recordedLog() })));
});
