import type { Channel } from 'rabbitmq-client';
import type { MessageBody } from '../../domain/messages.ts';
import type { ConsumeOptions, Handler } from '../../ports/broker.ts';
import { HANDED_BACK, outcomeOf, verdictOfThrown, type Outcome } from '../../ports/broker-outcome.ts';
import type { Arrived } from './envelope.ts';

/** What the broker waits for an answer to. */
export interface Hold {
  readonly channel: Channel;
  readonly consumerTag: string;
  readonly deliveryTag: number;
}

/** One message that this process works on. */
export class Delivery {
  readonly arrived: Arrived;
  readonly hold: Hold;
  readonly abort = new AbortController();
  /** The handler's run; resolves when its verdict is carried out. */
  ended: Promise<void> = Promise.resolve();
  /** True once a copy of it is on its way back, because the broker would not wait for the verdict. */
  isHandedOver = false;
  /** Ends when a hand-over that is under way is done. */
  handingOver: Promise<void> | undefined;
  /** The first outcome counts; this resolves when it is carried out. */
  settled: Promise<void> | undefined;
  handOverTimer: NodeJS.Timeout | undefined;
  #isAnswered = false;

  constructor(arrived: Arrived, hold: Hold) {
    this.arrived = arrived;
    this.hold = hold;
  }

  /** True while the broker waits for an answer. Otherwise the message has gone back by itself, or a copy has. */
  get isHeld(): boolean {
    return !this.isHandedOver && this.hold.channel.active;
  }

  ack(): void {
    const { channel, deliveryTag } = this.hold;
    // Without its channel the message is delivered again, whatever we say; a second answer would close the channel.
    if (channel.active && !this.#isAnswered) channel.basicAck({ deliveryTag });
    this.#isAnswered = true;
  }

  /** Runs the handler and says what its verdict means. */
  async ask(handler: Handler, body: MessageBody, options: ConsumeOptions): Promise<Outcome> {
    const { messageId, attempt } = this.arrived;
    try {
      const verdict = await handler({ messageId, body, attempt, signal: this.abort.signal });
      return outcomeOf(verdict, attempt, options);
    } catch (error) {
      // A handler that throws because it was told to stop has not failed.
      if (this.abort.signal.aborted) return HANDED_BACK;
      return outcomeOf(verdictOfThrown(error), attempt, options);
    }
  }
}
