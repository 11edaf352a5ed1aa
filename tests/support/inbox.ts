import type { Delivery, Handler, Verdict } from '../../src/ports/broker.ts';
import { eventually } from './eventually.ts';

/** A delivery that waits for its answer. */
export interface Letter extends Delivery {
  readonly answer: (verdict: Verdict) => void;
  readonly fail: (error: unknown) => void;
  /** By Date.now(). */
  readonly arrivedAt: number;
}

/** A handler whose deliveries a test answers one by one. */
export class Inbox {
  /** All that came, in order. */
  readonly letters: Letter[] = [];
  #opened = 0;

  readonly handler: Handler = (delivery) => {
    const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
    this.letters.push({ ...delivery, answer: resolve, fail: reject, arrivedAt: Date.now() });
    return promise;
  };

  /** The next delivery that no next() has given yet; waits for it. */
  async next(what = 'a delivery'): Promise<Letter> {
    const letter = await eventually(what, () => this.letters[this.#opened]);
    this.#opened++;
    return letter;
  }
}
