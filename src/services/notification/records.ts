import { acceptForeign, type Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { parseFileId, type FileId } from '../../domain/ids.ts';
import { ConversionFailed, Mp3Ready, parseMessage, type MessageBody } from '../../domain/messages.ts';
import { parseEmail } from '../../domain/user.ts';
import { adoptForeign } from '../../flow/adopt-foreign.ts';
import { announcementId } from '../../flow/announce.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';

export interface Stores {
  readonly conversions: ConversionStore;
  readonly mp3s: Pick<FileStore, 'stat'>;
}

/**
 * The `ready` record of an `mp3` message; made or moved here where another implementation's converter did the work. Then
 * `user.invalid-email` or `file.unknown`, both final, where the message names nobody to write to or no MP3.
 */
export async function findReady(
  stores: Stores,
  body: MessageBody,
  messageId: string,
): Promise<Conversion | undefined> {
  const { conversions } = stores;
  const message = parseMessage(Mp3Ready, body);
  const [id, mp3Fid] = [fileId(message.video_fid), fileId(message.mp3_fid)];
  const current = await conversions.find(id);
  // Announced by us, and its record is gone: the owner has removed it meanwhile.
  if (current === undefined && messageId === announcementId('mp3', id)) return undefined;
  if (current === undefined || acceptForeign(current, mp3Fid, Date.now()) !== undefined) {
    await accept(stores, { id, mp3Fid, owner: message.username }, current === undefined);
  }
  const conversion = await conversions.find(id);
  return conversion?.state === 'ready' ? conversion : undefined;
}

async function accept(
  { conversions, mp3s }: Stores,
  foreign: { readonly id: FileId; readonly mp3Fid: FileId; readonly owner: string },
  isNew: boolean,
): Promise<void> {
  const { id, mp3Fid } = foreign;
  const owner = isNew ? parseEmail(foreign.owner) : undefined;
  const info = await mp3s.stat(mp3Fid);
  if (info === undefined) {
    throw new AudiowaveError('file.unknown', undefined, { detail: `there is no MP3 ${mp3Fid}` });
  }
  if (owner !== undefined) await adoptForeign(conversions, { id, owner, bytes: null });
  await conversions.update(id, (current) => {
    const ready = acceptForeign(current, mp3Fid, Date.now());
    return ready && { ...ready, mp3Bytes: info.sizeBytes };
  });
}

/** The `failed` record of an `audiowave.failed` message; `conversion.unknown` where nobody of us has announced it. */
export async function findFailed(
  { conversions }: Stores,
  body: MessageBody,
  messageId: string,
): Promise<Conversion | undefined> {
  const id = fileId(parseMessage(ConversionFailed, body).video_fid);
  const conversion = await conversions.find(id);
  if (conversion === undefined && messageId !== announcementId('failed', id)) {
    throw new AudiowaveError('conversion.unknown', undefined, { detail: `there is no conversion ${id}` });
  }
  return conversion?.state === 'failed' ? conversion : undefined;
}

function fileId(wire: string): FileId {
  const id = parseFileId(wire);
  if (id === undefined) throw new AudiowaveError('broker.malformed-message');
  return id;
}
