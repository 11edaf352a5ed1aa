import { acceptForeign, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { parseFileId, type FileId } from '../../domain/ids.ts';
import { ConversionFailed, Mp3Ready, parseMessage, type MessageBody } from '../../domain/messages.ts';
import { adoptForeign } from '../../flow/adopt-foreign.ts';
import { announcementId } from '../../flow/announce.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';

/** The `ready` record of an `mp3` message; made or moved here where another implementation's converter did the work. */
export async function findReady(
  conversions: ConversionStore,
  body: MessageBody,
  messageId: string,
): Promise<Conversion | undefined> {
  const message = parseMessage(Mp3Ready, body);
  const [id, mp3Fid] = [fileId(message.video_fid), fileId(message.mp3_fid)];
  if ((await conversions.find(id)) === undefined) {
    // Announced by us, and its record is gone: the owner has removed it meanwhile.
    if (messageId === announcementId('mp3', id)) return undefined;
    await adoptForeign(conversions, { id, owner: message.username, bytes: null });
  }
  await conversions.update(id, (current) => acceptForeign(current, mp3Fid, Date.now()));
  const conversion = await conversions.find(id);
  return conversion?.state === 'ready' ? conversion : undefined;
}

/** The `failed` record of an `audiowave.failed` message. */
export async function findFailed(
  conversions: ConversionStore,
  body: MessageBody,
): Promise<Conversion | undefined> {
  const conversion = await conversions.find(fileId(parseMessage(ConversionFailed, body).video_fid));
  return conversion?.state === 'failed' ? conversion : undefined;
}

function fileId(wire: string): FileId {
  const id = parseFileId(wire);
  if (id === undefined) throw new AudiowaveError('broker.malformed-message');
  return id;
}
