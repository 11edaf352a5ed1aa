import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { hasCode, type ErrorCode } from '../../src/domain/errors.ts';
import {
  createFetchVideo,
  type FetchVideo,
  type FetchVideoOptions,
} from '../../src/services/gateway/import/fetch-video.ts';
import { recordedLog } from './recorded-log.ts';

export const MB = 1024 * 1024;

/** A fetcher that may fetch from the servers of a test. */
export function fetcher(options: Partial<FetchVideoOptions> = {}): FetchVideo {
  return createFetchVideo({ allow: ['127.0.0.1'], timeoutMs: 20_000, log: recordedLog(), ...options });
}

/** Fetches all, as the gateway does. */
export async function fetchAll(
  fetchVideo: FetchVideo,
  url: string,
  options: { maxBytes?: number; signal?: AbortSignal } = {},
): Promise<{ bytes: Buffer; name: string | null }> {
  const { maxBytes = 100 * MB, signal = new AbortController().signal } = options;
  const { body, name } = await fetchVideo(new URL(url), { maxBytes, signal });
  return { bytes: await buffer(body), name };
}

/** For assert.rejects: the code, the sentence, and no address in it. */
export const failsWith = (code: ErrorCode, message?: RegExp) => (error: unknown) => {
  assert.ok(hasCode(error, code), `expected ${code}, got ${String(error)}`);
  if (message !== undefined) assert.match(error.message, message);
  assert.doesNotMatch(error.message, /\d+\.\d+\.\d+\.\d+|::/, 'no address in a sentence for people');
  return true;
};
