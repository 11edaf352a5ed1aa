import type { Logger } from '../../ports/logger.ts';
import type { LinkEvents } from './link.ts';

/** Says once when the broker goes away, once where it refuses us, and once when all links are back. */
export class Outages {
  readonly #place: string;
  readonly #log: Logger;
  readonly #away = new Set<string>();
  #told: string | undefined;

  constructor(place: string, log: Logger) {
    this.#place = place;
    this.#log = log;
  }

  of(name: string): LinkEvents {
    return {
      onAway: (reason) => {
        this.#away.add(name);
        const line = `RabbitMQ at ${this.#place} is away: ${reason}`;
        // Both links see the same outage, each in its own words; only the kind of it is news.
        const kind = reason.startsWith('access refused') ? 'refused' : 'away';
        if (this.#told !== kind) this.#log.warn({ reason }, line);
        this.#told = kind;
      },
      onOpen: () => {
        this.#away.delete(name);
        if (this.#away.size > 0 || this.#told === undefined) return;
        this.#told = undefined;
        this.#log.info({}, `RabbitMQ at ${this.#place} is back`);
      },
    };
  }
}
