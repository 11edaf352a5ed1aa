import { markPublished, type Announcement, type Conversion } from '../domain/conversion.ts';
import { parseFileId, type FileId } from '../domain/ids.ts';
import { oweMailAgain, reopen } from '../domain/reopen.ts';
import type { Broker } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { FileStore } from '../ports/file-store.ts';

/** What a replay of dead letters works with. */
export interface ReplayDeps {
  readonly broker: Broker;
  readonly conversions: ConversionStore;
  readonly videos: Pick<FileStore, 'stat'>;
}

/** A queue by what is announced on it. */
export interface AnnouncementQueue {
  readonly name: string;
  readonly announcement: Announcement;
}

export interface Replayed {
  /** How many messages wait again. */
  readonly replayed: number;
  /** The dead letters that stay, each with the reason. */
  readonly refused: readonly { readonly messageId: string; readonly reason: string }[];
}

/** The most dead letters that one call looks at. */
const MOST = 10_000;

/**
 * Sends dead letters of a queue again, those of `messageId` or all. Their records are made ready for them first, else
 * nothing would come of it: on `video` a conversion that has failed is reopened, on the other two a mail that was given
 * up is owed again. What there is no sense in sending stays a dead letter. A crash in between leaves a record that owes
 * its message, which the sweeper then publishes.
 */
export async function replayDeadLetters(
  deps: ReplayDeps,
  queue: AnnouncementQueue,
  messageId?: string,
): Promise<Replayed> {
  const letters = await deps.broker.deadLetters(queue.name, MOST);
  const refused = new Map<string, string>();
  const good = new Map<string, FileId>();
  for (const letter of letters) {
    if (messageId !== undefined && letter.messageId !== messageId) continue;
    const id = parseFileId(letter.body?.video_fid);
    const reason = id === undefined ? 'it names no video' : await prepare(deps, queue, id);
    if (id === undefined || reason !== undefined) refused.set(letter.messageId, reason ?? '');
    else good.set(letter.messageId, id);
  }
  for (const letterId of refused.keys()) good.delete(letterId);
  const replayed = good.size === 0 ? 0 : await deps.broker.replay(queue.name, [...good.keys()]);
  for (const id of good.values()) {
    await deps.conversions.update(id, (current) => markPublished(current, queue.announcement));
  }
  return { replayed, refused: [...refused].map(([letterId, reason]) => ({ messageId: letterId, reason })) };
}

/** Makes the record ready for its message; why there is no sense in sending that again, where there is none. */
async function prepare(
  { conversions, videos }: ReplayDeps,
  { announcement }: AnnouncementQueue,
  id: FileId,
): Promise<string | undefined> {
  const now = Date.now();
  if (announcement !== 'video') {
    await conversions.update(id, (current) => oweMailAgain(current, now));
    return undefined;
  }
  if ((await videos.stat(id)) === undefined) return 'its video is gone';
  const reopened = await conversions.update(id, (current) => reopen(current, now));
  return reopened === undefined ? refusalOf(await conversions.find(id)) : undefined;
}

function refusalOf(conversion: Conversion | undefined): string | undefined {
  switch (conversion?.state) {
    case 'ready':
      return 'its MP3 is ready already';
    case 'cancelled':
      return 'its owner has cancelled it';
    case 'failed':
      return 'its owner has removed it, or its video is gone';
    // One that waits or runs tolerates another message; one without a record is another implementation's.
    case undefined:
    case 'uploading':
    case 'fetching':
    case 'queued':
    case 'converting':
      return undefined;
  }
}
