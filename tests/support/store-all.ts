import type { FileId } from '../../src/domain/ids.ts';
import type { FileInfo, FileStore } from '../../src/ports/file-store.ts';

/** Writes all of `source` and commits. Whatever fails, nothing is left; the source is told to stop (its iterator's return()). */
export async function storeAll(
  store: FileStore,
  id: FileId,
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<FileInfo> {
  const writer = await store.create(id, signal === undefined ? {} : { signal });
  try {
    for await (const chunk of source) {
      signal?.throwIfAborted();
      await writer.write(chunk);
    }
    signal?.throwIfAborted();
    return await writer.commit();
  } catch (error) {
    // The first error says more; bytes that abort() could not remove are invisible, and swept.
    await writer.abort().catch(() => undefined);
    throw error;
  }
}
