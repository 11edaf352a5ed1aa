import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { AudiowaveError } from '../../../src/domain/errors.ts';
import { FAILED_QUEUE } from '../../../src/domain/messages.ts';
import { open, queued, readyRecord, waiting, type Setup } from './sweeper-stage.ts';

const QUARTER_HOUR = 900_000;

/** Its message was confirmed, and is in no queue. */
async function announced(setup: Setup): Promise<Conversion> {
  const { id } = await queued(setup);
  const record = await setup.conversions.update(id, (c) => ({ ...c, unpublished: [] }));
  assert.ok(record);
  return record;
}

async function mailDue(setup: Setup, state: 'ready' | 'failed'): Promise<void> {
  const { id } = await readyRecord(setup);
  if (state === 'ready') await setup.conversions.update(id, (c) => ({ ...c, mail: 'due' }));
  else {
    await setup.conversions.remove(id);
    const { id: other } = await announced(setup);
    const failure = { code: 'audio.no-sound', message: 'The file has no sound.' } as const;
    const endedAt = Date.now();
    await setup.conversions.update(other, (c) => ({ ...c, state, failure, mail: 'due', endedAt }));
  }
}

async function opened(t: TestContext): Promise<Setup> {
  const setup = await open(t);
  setup.ahead = QUARTER_HOUR + 1_000;
  return setup;
}

void test('a message that its queue has lost is published once more, and not again at once', async (t) => {
  const setup = await opened(t);
  await announced(setup);
  await mailDue(setup, 'ready');
  await mailDue(setup, 'failed');
  assert.equal((await setup.sweeper.runOnce()).lost, 3);
  for (const queue of ['video', 'mp3', FAILED_QUEUE]) assert.equal(await waiting(setup, queue), 1, queue);
  for (const queue of ['video', 'mp3', FAILED_QUEUE]) await purge(setup, queue);
  setup.ahead += 60_000;
  assert.equal((await setup.sweeper.runOnce()).lost, 0);
  setup.ahead += QUARTER_HOUR;
  assert.equal((await setup.sweeper.runOnce()).lost, 3);
});

void test('who waits behind others, or has not waited for long, has lost nothing', async (t) => {
  const setup = await open(t);
  await announced(setup);
  setup.ahead = QUARTER_HOUR - 60_000;
  assert.equal((await setup.sweeper.runOnce()).lost, 0);
  await setup.broker.publish('video', { video_fid: 'another' });
  setup.ahead = QUARTER_HOUR + 60_000;
  assert.equal((await setup.sweeper.runOnce()).lost, 0);
  await purge(setup, 'video');
  setup.ahead += 60_000;
  assert.equal((await setup.sweeper.runOnce()).lost, 1);
});

void test('an outage of the records is one line for each step, however many runs it lasts', async (t) => {
  const setup = await open(t);
  setup.conversions.retentionDue = () => Promise.reject(new AudiowaveError('store.unavailable'));
  const lines = (): number =>
    setup.log.entries.filter(({ message }) => message === 'sweep not finished').length;
  await setup.sweeper.runOnce();
  const once = lines();
  assert.ok(once > 0);
  await setup.sweeper.runOnce();
  assert.equal(lines(), once);
});

async function purge(setup: Setup, queue: string): Promise<void> {
  const consumer = await setup.broker.consume(
    queue,
    { prefetch: 10, maxAttempts: 1, backoffMs: () => 0 },
    () => Promise.resolve({ kind: 'done' }),
  );
  while ((await waiting(setup, queue)) > 0) await new Promise((resolve) => setImmediate(resolve));
  await consumer.stop(0);
}
