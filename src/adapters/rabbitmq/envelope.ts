import { createHash } from 'node:crypto';
import type { AsyncMessage, Envelope, SyncMessage } from 'rabbitmq-client';
import type { MessageBody } from '../../domain/messages.ts';
import { UNTOUCHED } from './client-inner.ts';

/** Attempts that were used before this delivery. */
const ATTEMPTS = 'x-audiowave-attempts';
/** Milliseconds since the epoch before which a delayed message is not delivered. */
const DUE = 'x-audiowave-due';
/** Why, and when in milliseconds since the epoch, a dead letter died. */
const REASON = 'x-audiowave-reason';
const DIED_AT = 'x-audiowave-died-at';
/** Which publish of a channel this was: the broker's returns name no other number. */
export const PUBLICATION = 'x-audiowave-publication';

/** A message larger than this is nobody's of the family: 1 MiB. */
const LARGEST_BODY_BYTES = 1_048_576;

/** What is published: a body and what stands around it. */
export interface Outgoing {
  readonly body: Buffer;
  readonly properties: Omit<Envelope, 'routingKey' | 'exchange' | 'mandatory' | 'immediate'>;
}

/** A message of a queue, its counters read. */
export interface Arrived {
  /** The message's own, or one made from its body where another program gave none: the same at each delivery. */
  readonly messageId: string;
  readonly raw: Buffer;
  readonly properties: Outgoing['properties'];
  /** 1 the first time. */
  readonly attempt: number;
  readonly dueAt: number | undefined;
  /** It came back without a verdict, and its queue (a classic one) does not count how often. */
  readonly isUncountedReturn: boolean;
}

/** The body of a message, or why it is none. */
export type Parsed = { readonly body: MessageBody } | { readonly reason: string };

export function readMessage(message: AsyncMessage | SyncMessage): Arrived {
  const raw = Buffer.isBuffer(message.body) ? message.body : Buffer.from(String(message.body));
  const headers = message.headers ?? {};
  const returns = countOf(headers['x-delivery-count']);
  return {
    messageId: message.messageId ?? createHash('sha256').update(raw).digest('hex').slice(0, 32),
    raw,
    properties: carriedProperties(message),
    attempt: countOf(headers[ATTEMPTS]) + returns + 1,
    dueAt: typeof headers[DUE] === 'number' ? headers[DUE] : undefined,
    isUncountedReturn: message.redelivered && headers['x-delivery-count'] === undefined,
  };
}

/** Only a JSON object is a message. */
export function parseBody(raw: Buffer): Parsed {
  if (raw.length > LARGEST_BODY_BYTES) {
    return {
      reason: `the message is ${String(raw.length)} bytes long; ${String(LARGEST_BODY_BYTES)} are allowed`,
    };
  }
  try {
    const body: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw));
    if (typeof body === 'object' && body !== null && !Array.isArray(body))
      return { body: body as MessageBody };
    return { reason: 'the message is JSON, but no object' };
  } catch {
    return { reason: 'the message is not JSON' };
  }
}

/** A message that never travelled before. */
export function newMessage(body: Buffer, messageId: string): Outgoing {
  return { body, properties: { contentType: 'application/json', contentEncoding: 'utf-8', messageId } };
}

/** A copy that has used `attemptsUsed`, to be delivered when `dueAt` is past. */
export function copyForLater(arrived: Arrived, attemptsUsed: number, dueAt?: number): Outgoing {
  return copyWith(arrived, { [ATTEMPTS]: attemptsUsed, ...(dueAt === undefined ? {} : { [DUE]: dueAt }) });
}

/** A copy for the dead letters. */
export function copyForBurial(arrived: Arrived, reason: string): Outgoing {
  return copyWith(arrived, { [ATTEMPTS]: arrived.attempt, [REASON]: reason, [DIED_AT]: Date.now() });
}

/** A dead letter as a new message. */
export function copyForReplay(arrived: Arrived): Outgoing {
  return copyWith(arrived, {});
}

/** How and when a dead letter died; for those that another program buried, what RabbitMQ's own headers tell. */
export function readDeath({ headers = {}, timestamp }: AsyncMessage | SyncMessage): {
  reason: string;
  attempts: number;
  diedAt: number;
} {
  const death = Array.isArray(headers['x-death']) ? (headers['x-death'][0] as unknown) : undefined;
  const { reason, count, time, queue } = (death ?? {}) as Record<string, unknown>;
  const diedAt = headers[DIED_AT] as unknown;
  const seconds = typeof time === 'number' ? time : (timestamp ?? 0);
  const foreign =
    typeof reason === 'string' ? `${reason} in queue ${String(queue)}` : 'put here by another program';
  return {
    reason: typeof headers[REASON] === 'string' ? headers[REASON] : foreign,
    attempts: countOf(headers[ATTEMPTS] ?? count),
    diedAt: typeof diedAt === 'number' ? diedAt : seconds * 1000,
  };
}

/** Headers that the broker wrote or would act on, and ours, which each copy writes anew. */
const NOT_CARRIED =
  /^(x-death|x-first-death-.*|x-last-death-.*|x-delivery-count|x-acquired-count|CC|BCC|x-audiowave-.*)$/;

function carriedProperties(message: AsyncMessage | SyncMessage): Outgoing['properties'] {
  const { contentType, contentEncoding, priority, correlationId, timestamp, type, appId, messageId } =
    message;
  const headers = Object.entries(message.headers ?? {}).filter(([name]) => !NOT_CARRIED.test(name));
  // Neither user id nor expiration: the broker would check the one and let the copy end by the other.
  const properties = {
    contentType,
    contentEncoding: contentEncoding === UNTOUCHED ? undefined : contentEncoding,
    priority,
    correlationId,
    timestamp,
    type,
    appId,
    messageId,
    headers: Object.fromEntries(headers) as Record<string, unknown>,
  };
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
}

function copyWith({ raw, properties, messageId }: Arrived, headers: Record<string, unknown>): Outgoing {
  return {
    body: raw,
    properties: { ...properties, messageId, headers: { ...properties.headers, ...headers } },
  };
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
