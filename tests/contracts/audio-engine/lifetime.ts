import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { hasCode } from '../../../src/domain/errors.ts';
import type { AudioSource } from '../../../src/ports/audio-engine.ts';
import { eventually } from '../../support/eventually.ts';
import { media } from '../../support/media.ts';
import { childrenOf, isAlive } from '../../support/processes.ts';
import { encoderProgram, heldSink, MemorySink, rejection, request, type Subject } from './subject.ts';

/** How the encoder program lives and dies. */
export function lifetimePromises({ promise, open }: Subject): void {
  promise('an abort ends the encoder program within 2 s', async (t) => {
    const controller = new AbortController();
    const { sink } = heldSink();
    const engine = await open(t);
    const file = await media('wav', { seconds: 60 });
    const conversion = rejection(engine.convert(request(file, sink, { signal: controller.signal })));
    const { pid } = await encoderProgram();
    await eventually('the first bytes came', () => sink.chunks.length > 0);
    const abortedAt = performance.now();
    controller.abort();
    assert.ok(hasCode(await conversion, 'audio.cancelled'));
    await eventually('the program is gone', async () => !(await isAlive(pid)), 2000);
    assert.ok(performance.now() - abortedAt < 2000);
  });

  promise('a conversion that is aborted before it begins starts nothing', async (t) => {
    const signal = AbortSignal.abort();
    const error = await rejection(
      (await open(t)).convert(request(await media('wav'), new MemorySink(), { signal })),
    );
    assert.ok(hasCode(error, 'audio.cancelled'));
  });

  promise('an encoder program that is killed gives audio.encoder-failed, which is retryable', async (t) => {
    const { sink, release } = heldSink();
    const engine = await open(t);
    const conversion = rejection(engine.convert(request(await media('wav', { seconds: 60 }), sink)));
    const { pid } = await encoderProgram();
    await eventually('the first bytes came', () => sink.chunks.length > 0);
    process.kill(pid, 'SIGKILL');
    release();
    const error = await conversion;
    assert.ok(hasCode(error, 'audio.encoder-failed'), String(error));
    assert.equal(error.retryable, true);
  });

  promise('an encoder program that stands still is ended and gives audio.encoder-failed', async (t) => {
    const { sink, release } = heldSink();
    const engine = await open(t, { stallMs: 3000 });
    const conversion = rejection(engine.convert(request(await media('wav', { seconds: 60 }), sink)));
    const { pid } = await encoderProgram();
    await eventually('the first bytes came', () => sink.chunks.length > 0);
    process.kill(pid, 'SIGSTOP');
    release();
    assert.ok(hasCode(await conversion, 'audio.encoder-failed'));
    assert.equal(await isAlive(pid), false);
  });

  promise('a failure in the sink ends the program and is thrown as it is', async (t) => {
    const failure = new Error('the disk is gone');
    const sink = new MemorySink((written) => {
      if (written === 2) throw failure;
    });
    const engine = await open(t);
    assert.equal(
      await rejection(engine.convert(request(await media('wav', { seconds: 60 }), sink))),
      failure,
    );
    assert.deepEqual(await childrenOf(process.pid), []);
  });

  promise('a failure in the source is thrown as it is', async (t) => {
    const failure = new Error('the store is gone');
    const source: AudioSource = {
      sizeBytes: 100,
      async *read() {
        yield await Promise.resolve(new Uint8Array(50));
        throw failure;
      },
    };
    const engine = await open(t);
    const file = await media('wav');
    assert.equal(await rejection(engine.convert(request(file, new MemorySink(), { source }))), failure);
  });

  promise('the program sees no name of the file, no secret of our environment', async (t) => {
    const { sink, release } = heldSink();
    const engine = await open(t);
    process.env.AUDIOWAVE_TEST_SECRET = 'hush';
    t.after(() => delete process.env.AUDIOWAVE_TEST_SECRET);
    const file = await media('wav', { seconds: 60 });
    const conversion = engine.convert(request(file, sink));
    const { commandLine, environment } = await encoderProgram();
    assert.ok(!commandLine.includes(file.path));
    assert.ok(!environment.includes('hush'));
    release();
    await conversion;
  });

  promise('the program ends when our process is killed', async (t) => {
    const file = await media('wav', { seconds: 60 });
    const script = fileURLToPath(new URL('../../support/engine-child.ts', import.meta.url));
    const { kind } = await (await open(t)).program();
    const child = fork(script, [kind, file.path, String(file.sizeBytes)]);
    t.after(() => child.kill('SIGKILL'));
    const { pid } = await encoderProgram(child.pid);
    child.kill('SIGKILL');
    await eventually('the program is gone', async () => !(await isAlive(pid)));
  });
}
