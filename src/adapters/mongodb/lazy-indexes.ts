import type { Collection, IndexDescription } from 'mongodb';
import { AudiowaveError } from '../../domain/errors.ts';
import type { Logger } from '../../ports/logger.ts';
import type { MongoDatabase } from './client.ts';
import { troubleOf } from './mongo-errors.ts';

/** From one try to the next, in milliseconds. */
const PAUSE_MS = 15_000;

/**
 * Makes the indexes of a collection once its server answers, beside the calls: without them everything is right, only
 * slower. Several processes may do so at once, since making an index that is there changes nothing.
 */
export class LazyIndexes {
  readonly #database: MongoDatabase;
  readonly #make: () => Promise<unknown>;
  readonly #log: Logger;
  #done = false;
  #nextTry = 0;
  #reported = false;

  constructor(database: MongoDatabase, name: string, indexes: readonly IndexDescription[], log: Logger) {
    const collection: Collection = database.db.collection(name);
    this.#database = database;
    this.#make = () => collection.createIndexes([...indexes]);
    this.#log = log;
  }

  /** To be called where the server has just answered. Does not wait, and never fails. */
  ensure(): void {
    if (this.#done || Date.now() < this.#nextTry) return;
    this.#nextTry = Date.now() + PAUSE_MS;
    void this.#try();
  }

  async #try(): Promise<void> {
    try {
      await this.#database.answer(this.#make);
      this.#done = true;
    } catch (error) {
      // A server that is away, refuses us or is full is told of by the calls themselves.
      if (this.#reported || !(error instanceof AudiowaveError) || troubleOf(error.cause) !== 'other') return;
      this.#reported = true;
      const fields = { server: this.#database.shown, reason: error.detail };
      this.#log.warn(fields, 'MongoDB does not make our indexes; everything works, only slower.');
    }
  }
}
