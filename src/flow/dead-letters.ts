import type { Conversion } from '../domain/conversion.ts';
import { parseFileId } from '../domain/ids.ts';
import { reopen } from '../domain/reopen.ts';
import type { Broker, DeadLetter } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';
import type { FileStore } from '../ports/file-store.ts';

/** What a replay of dead letters works with. */
export interface ReplayDeps {
  readonly broker: Broker;
  readonly conversions: ConversionStore;
  readonly videos: Pick<FileStore, 'stat'>;
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
 * Sends dead letters of the `video` queue again, those of `messageId` or all. A conversion that has failed is reopened
 * first, else its message would only repeat the failure; one whose video is gone stays a dead letter. A crash in between
 * leaves a reopened conversion that owes its message, which the sweeper then publishes.
 */
export async function replayVideos(deps: ReplayDeps, queue: string, messageId?: string): Promise<Replayed> {
  const letters = await deps.broker.deadLetters(queue, MOST);
  const meant = letters.filter((letter) => messageId === undefined || letter.messageId === messageId);
  const refused: Replayed['refused'][number][] = [];
  const good = new Set<string>();
  for (const letter of meant) {
    const reason = await prepare(deps, letter);
    if (reason === undefined) good.add(letter.messageId);
    else refused.push({ messageId: letter.messageId, reason });
  }
  for (const { messageId: id } of refused) good.delete(id);
  let replayed = 0;
  for (const id of good) replayed += await deps.broker.replay(queue, id);
  return { replayed, refused };
}

/** Makes the record of a letter ready for it; why there is no sense in sending it again, where there is none. */
async function prepare(
  { conversions, videos }: ReplayDeps,
  { body }: DeadLetter,
): Promise<string | undefined> {
  const id = parseFileId(body?.video_fid);
  if (id === undefined) return 'it names no video';
  if ((await videos.stat(id)) === undefined) return 'its video is gone';
  const reopened = await conversions.update(id, (current) => reopen(current, Date.now()));
  if (reopened !== undefined) return undefined;
  return refusalOf(await conversions.find(id));
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
