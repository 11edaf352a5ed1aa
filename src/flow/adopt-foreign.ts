import { newConversion } from '../domain/conversion.ts';
import { hasCode } from '../domain/errors.ts';
import type { FileId } from '../domain/ids.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';

/** Makes the record of a video that another implementation stored and announced; one that is there stays as it is. */
export async function adoptForeign(
  conversions: ConversionStore,
  video: { readonly id: FileId; readonly owner: string; readonly bytes: number | null },
): Promise<void> {
  const { id, owner, bytes } = video;
  const fresh = newConversion({
    id,
    owner,
    state: 'queued',
    name: null,
    source: { kind: 'foreign' },
    lease: null,
    now: Date.now(),
  });
  try {
    await conversions.create({ ...fresh, videoBytes: bytes });
  } catch (error) {
    if (!hasCode(error, 'conversion.exists')) throw error;
  }
}
