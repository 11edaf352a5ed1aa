import type { FastifyRequest } from 'fastify';
import type { Conversion } from '../../../domain/conversion.ts';
import { AudiowaveError, isAway } from '../../../domain/errors.ts';
import { Intake, type IntakeContext } from '../intake.ts';
import { guarded } from './free-space.ts';
import { readOneFile } from './multipart.ts';

/**
 * Streams the one file of a multipart request into the video store and queues its conversion. Resolves when the bytes
 * are whole and the record is `queued` (its message sent, or owed). Where it rejects, nothing is kept; while a store is
 * away the client is told at once, and what is left goes afterwards.
 */
export async function receiveUpload(
  context: IntakeContext,
  { raw, bodyType = '' }: FastifyRequest,
  owner: string,
): Promise<Conversion> {
  const { deps, settings } = context;
  const { maxUploadBytes: maxBytes, minFreeDiskBytes: minFreeBytes, uploadIdleMs: idleMs } = settings;
  const stopped = new AudiowaveError('upload.interrupted', 'The server stopped before the upload was whole.');
  const intake = new Intake(context, stopped);
  try {
    let name: string | null = null;
    await readOneFile(raw, bodyType, { maxFileBytes: maxBytes, idleMs }, intake.signal, async (file) => {
      name = file.name;
      await intake.record(owner, 'uploading', file.name, { kind: 'upload' });
      const tooLarge = (): AudiowaveError => new AudiowaveError('upload.too-large');
      await intake.write(guarded(file.bytes, deps.videos, { minFreeBytes, maxBytes, tooLarge }));
    });
    const queued = await intake.enqueue(name);
    await intake.announce(queued, 'video');
    await intake.end();
    return queued;
  } catch (error) {
    const discarded = intake.discard().then(() => intake.end());
    if (!isAway(error)) await discarded;
    throw error;
  }
}
