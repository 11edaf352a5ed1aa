import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { hasCode } from '../../../src/domain/errors.ts';
import { FetchWatch } from '../../../src/services/gateway/import/fetch-watch.ts';
import { VideoBody } from '../../../src/services/gateway/import/video-body.ts';

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

function bodyOf(
  source: AsyncIterable<Uint8Array>,
  length: number | null,
): { body: VideoBody; ended: number[] } {
  const watch = new FetchWatch(new AbortController().signal, 10_000);
  const ended: number[] = [];
  const end = (): Promise<void> => {
    watch.end();
    ended.push(1);
    return Promise.resolve();
  };
  return { body: new VideoBody(source, { watch, end, idleMs: 1000, length, maxBytes: 100 }), ended };
}

for (const length of [4, 5, null]) {
  test(`five bytes of ${String(length)} that were said to come`, async () => {
    const { body, ended } = bodyOf(pieces('ab', 'cde'), length);
    if (length === 4) await assert.rejects(buffer(body), (error: unknown) => hasCode(error, 'import.failed'));
    else assert.equal((await buffer(body)).toString(), 'abcde');
    assert.equal(ended.length, 1, 'let go once');
  });
}

test('fewer bytes than were said to come are an error, even where the transport does not notice', async () => {
  const { body } = bodyOf(pieces('ab'), 3);
  await assert.rejects(buffer(body), (error: unknown) => hasCode(error, 'import.failed'));
  await assert.rejects(body.next(), (error: unknown) => hasCode(error, 'import.failed'));
});
