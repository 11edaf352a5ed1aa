import { markPublished, type Announcement, type Conversion } from '../domain/conversion.ts';
import type { FileId } from '../domain/ids.ts';
import { FAILED_QUEUE, type MessageBody } from '../domain/messages.ts';
import type { Broker } from '../ports/broker.ts';
import type { ConversionStore } from '../ports/conversion-store.ts';

/** The queues that an installation uses; the first two names are the family's to choose. */
export interface QueueNames {
  readonly video: string;
  readonly mp3: string;
}

export interface Announcer {
  readonly broker: Broker;
  readonly conversions: ConversionStore;
  readonly queues: QueueNames;
}

/** The queue on which an announcement travels. */
export function queueOf(queues: QueueNames, announcement: Announcement): string {
  return announcement === 'failed' ? FAILED_QUEUE : queues[announcement];
}

/** The message of an announcement (drop-in contract, "RabbitMQ"). */
function announcementBody(conversion: Conversion, announcement: Announcement): MessageBody {
  return {
    ...conversion.messageFields,
    video_fid: conversion.id,
    mp3_fid: announcement === 'mp3' ? conversion.mp3Fid : null,
    username: conversion.owner,
  };
}

/** The id of an announcement's message. Messages of other implementations have none, so it also tells whose one is. */
export function announcementId(announcement: Announcement, id: FileId): string {
  return `${announcement}-${id}`;
}

/** Publishes an announcement that a record owes. Publishing twice is harmless: every consumer tolerates a repeat. */
export async function publishOwed(
  { broker, queues }: Announcer,
  conversion: Conversion,
  announcement: Announcement,
  signal?: AbortSignal,
): Promise<void> {
  await broker.publish(queueOf(queues, announcement), announcementBody(conversion, announcement), {
    messageId: announcementId(announcement, conversion.id),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Notes that the broker has confirmed an announcement, as far as `conversion` owed it when it was published. */
export async function notePublished(
  { conversions }: Announcer,
  conversion: Conversion,
  announcement: Announcement,
): Promise<void> {
  const since = conversion.unpublished.find((entry) => entry.announcement === announcement)?.since;
  await conversions.update(conversion.id, (current) => markPublished(current, announcement, since));
}

/**
 * Publishes one announcement that a record owes, and notes it. Throws where the broker does not take it; the record
 * then still owes it and the sweeper tries again.
 */
export async function announce(
  to: Announcer,
  conversion: Conversion,
  announcement: Announcement,
  signal?: AbortSignal,
): Promise<void> {
  await publishOwed(to, conversion, announcement, signal);
  await notePublished(to, conversion, announcement);
}
