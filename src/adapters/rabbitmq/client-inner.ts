import type { AsyncMessage, Channel } from 'rabbitmq-client';

// Two things that rabbitmq-client 5.0 keeps to itself and that no message may depend on. The version is pinned; where
// another one does them in another way, the first use throws and the contract suite fails.

interface HeaderFrame {
  readonly fields: { contentEncoding?: string };
}

interface Inner {
  _onHeader?: (frame: HeaderFrame) => void;
  readonly _state?: { readonly consumers?: Map<string, (message: AsyncMessage) => void> };
}

/** The content encoding of a message that has none, on a channel of keepBytes(). */
export const UNTOUCHED = 'identity; audiowave';

/**
 * Lets the channel give bodies as they came. The client parses JSON and decodes text by the message's content type,
 * and keeps the bytes only where there is a content encoding: so there is one, which readMessage() takes away again.
 */
export function keepBytes(channel: Channel): void {
  const inner = channel as unknown as Inner;
  const original = inner._onHeader;
  if (original === undefined) throw unlike('reads headers');
  inner._onHeader = (frame) => {
    frame.fields.contentEncoding ||= UNTOUCHED;
    original.call(channel, frame);
  };
}

/**
 * Ends a subscription, but goes on hearing it: a quorum queue sends what it has assigned even after it has confirmed
 * the end, and the client would drop that without a word.
 */
export async function cancelButHear(
  channel: Channel,
  consumerTag: string,
  take: (message: AsyncMessage) => void,
): Promise<void> {
  const consumers = (channel as unknown as Inner)._state?.consumers;
  if (consumers === undefined) throw unlike('keeps consumers');
  await channel.basicCancel(consumerTag);
  if (channel.active) consumers.set(consumerTag, take);
}

function unlike(what: string): Error {
  return new Error(`this version of rabbitmq-client ${what} in another way`);
}
