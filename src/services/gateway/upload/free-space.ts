import { AudiowaveError } from '../../../domain/errors.ts';
import type { FileStore } from '../../../ports/file-store.ts';

/** Throws `store.full` where `bytes` more would leave less than `minFreeBytes`. */
export async function checkFreeSpace(store: FileStore, minFreeBytes: number, bytes: number): Promise<void> {
  const free = await store.freeBytes();
  if (free !== undefined && free - bytes < minFreeBytes) throw new AudiowaveError('store.full');
}

const CHECK_EVERY_BYTES = 32 * 1024 * 1024;

/** The same bytes; fails with `store.full` when the disk runs low on the way, and with `tooLarge` above `maxBytes`. */
export async function* guarded(
  bytes: AsyncIterable<Uint8Array>,
  store: FileStore,
  limits: {
    readonly minFreeBytes: number;
    readonly maxBytes: number;
    readonly tooLarge: () => AudiowaveError;
  },
): AsyncGenerator<Uint8Array, void, undefined> {
  let passed = 0;
  let checkAt = CHECK_EVERY_BYTES;
  for await (const chunk of bytes) {
    passed += chunk.byteLength;
    if (passed > limits.maxBytes) throw limits.tooLarge();
    if (passed >= checkAt) {
      checkAt = passed + CHECK_EVERY_BYTES;
      await checkFreeSpace(store, limits.minFreeBytes, 0);
    }
    yield chunk;
  }
}
