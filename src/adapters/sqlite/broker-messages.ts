import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { MessageBody } from '../../domain/messages.ts';
import type { DeadLetter, QueueDepth } from '../../ports/broker.ts';
import type { Outcome } from '../../ports/broker-outcome.ts';
import type { BrokerOwners } from './broker-owners.ts';
import { transaction } from './database.ts';

/** A message that this owner holds. */
export interface TakenMessage {
  readonly id: number;
  /** Which delivery of the message this is; a verdict on an older one has no effect. */
  readonly delivery: number;
  readonly messageId: string;
  /** JSON. */
  readonly body: string;
  readonly attempt: number;
}

interface TakenRow {
  id: number;
  delivery: number;
  message_id: string;
  body: string;
  attempt: number;
  available_at: number;
}

interface DeadRow {
  message_id: string;
  body: string;
  reason: string;
  attempts: number;
  died_at: number;
}

/** What this owner may still decide about: the delivery is the newest one, and nobody took it away. */
const MINE = 'id = ? AND owner = ? AND delivery = ?';

/** What replay() and drop() are about; `messageIds` is a JSON array, or null for all. */
interface Meant {
  readonly queue: string;
  readonly messageIds: string | null;
}

const MEANT =
  'queue = :queue AND (:messageIds IS NULL OR message_id IN (SELECT value FROM json_each(:messageIds)))';

/** The messages in the file. Every method is one short transaction. */
export class BrokerMessages {
  readonly #database: DatabaseSync;
  readonly #owners: BrokerOwners;
  readonly #insert: StatementSync;
  readonly #nextDue: StatementSync;
  readonly #take: StatementSync;
  readonly #forget: StatementSync;
  readonly #redeliver: StatementSync;
  readonly #bury: StatementSync;
  readonly #held: StatementSync;
  readonly #handBackAll: StatementSync;

  constructor(database: DatabaseSync, owners: BrokerOwners) {
    this.#database = database;
    this.#owners = owners;
    this.#insert = database.prepare(
      'INSERT INTO message (queue, message_id, body, available_at) VALUES (?, ?, ?, ?)',
    );
    this.#nextDue = database.prepare(
      'SELECT min(available_at) AS due FROM message WHERE queue = ? AND owner IS NULL',
    );
    this.#take = database.prepare(
      `UPDATE message SET owner = ?, attempt = attempt + 1, delivery = delivery + 1
       WHERE id IN (SELECT id FROM message WHERE queue = ? AND owner IS NULL AND available_at <= ?
                    ORDER BY available_at, id LIMIT ?)
       RETURNING id, delivery, message_id, body, attempt, available_at`,
    );
    this.#forget = database.prepare(`DELETE FROM message WHERE ${MINE}`);
    this.#redeliver = database.prepare(
      `UPDATE message SET owner = NULL, attempt = attempt - ?, available_at = max(available_at, ?) WHERE ${MINE}`,
    );
    this.#bury = database.prepare(
      `INSERT INTO dead_letter (queue, message_id, body, reason, attempts, died_at)
       SELECT queue, message_id, body, ?, attempt, ? FROM message WHERE ${MINE}`,
    );
    this.#held = database.prepare('SELECT id, delivery FROM message WHERE owner = ?');
    this.#handBackAll = database.prepare(
      'UPDATE message SET owner = NULL, attempt = attempt - 1 WHERE owner = ?',
    );
  }

  add(queue: string, messageId: string, body: string): void {
    this.#insert.run(queue, messageId, body, Date.now());
  }

  /** Milliseconds until a message of the queue may be taken; 0 where one may be now, Infinity where none waits. */
  msUntilDue(queue: string): number {
    const { due } = this.#nextDue.get(queue) as { due: number | null };
    return due === null ? Infinity : Math.max(0, due - Date.now());
  }

  /** Takes up to `limit` messages, those that have waited longest first. */
  take(queue: string, limit: number): TakenMessage[] {
    const rows = transaction(this.#database, () => {
      this.#owners.extendLease();
      return this.#take.all(this.#owners.id, queue, Date.now(), limit) as unknown as TakenRow[];
    });
    // RETURNING promises no order.
    rows.sort((a, b) => a.available_at - b.available_at || a.id - b.id);
    return rows.map(({ id, delivery, message_id, body, attempt }) => ({
      id,
      delivery,
      messageId: message_id,
      body,
      attempt,
    }));
  }

  /** Does what a verdict means; nothing where the message was given to somebody else meanwhile. */
  settle({ id, delivery }: Pick<TakenMessage, 'id' | 'delivery'>, outcome: Outcome): void {
    const mine = [id, this.#owners.id, delivery] as const;
    switch (outcome.kind) {
      case 'forget':
        this.#forget.run(...mine);
        return;
      case 'redeliver':
        // Without a delay it keeps its place; the counted attempt stays raised.
        this.#redeliver.run(
          outcome.counted ? 0 : 1,
          outcome.delayMs > 0 ? Date.now() + Math.ceil(outcome.delayMs) : 0,
          ...mine,
        );
        return;
      case 'bury':
        transaction(this.#database, () => {
          this.#bury.run(outcome.reason, Date.now(), ...mine);
          this.#forget.run(...mine);
        });
    }
  }

  /** The deliveries that this owner holds, by message. */
  held(): Map<number, number> {
    const rows = this.#held.all(this.#owners.id) as unknown as { id: number; delivery: number }[];
    return new Map(rows.map(({ id, delivery }) => [id, delivery]));
  }

  /** Hands back, uncounted, everything that this owner holds. */
  handBackAll(): void {
    this.#handBackAll.run(this.#owners.id);
  }

  /** Reads from the file; throws where it can't be read. */
  look(): void {
    this.#database.prepare('SELECT 1 FROM message LIMIT 1').get();
  }

  depth(queue: string): QueueDepth {
    const { waiting, unacknowledged, dead } = this.#database
      .prepare(
        `SELECT count(*) FILTER (WHERE owner IS NULL) AS waiting,
                count(*) FILTER (WHERE owner IS NOT NULL) AS unacknowledged,
                (SELECT count(*) FROM dead_letter WHERE queue = :queue) AS dead
         FROM message WHERE queue = :queue`,
      )
      .get({ queue }) as unknown as QueueDepth;
    return { waiting, unacknowledged, dead };
  }

  deadLetters(queue: string, limit: number): DeadLetter[] {
    const rows = this.#database
      .prepare(
        `SELECT message_id, body, reason, attempts, died_at FROM dead_letter WHERE queue = ? ORDER BY id LIMIT ?`,
      )
      .all(queue, limit) as unknown as DeadRow[];
    return rows.map(({ message_id, body, reason, attempts, died_at }) => ({
      messageId: message_id,
      body: JSON.parse(body) as MessageBody,
      reason,
      attempts,
      diedAt: died_at,
    }));
  }

  /** Dead letters of `messageIds`, or all, wait again as new messages; says how many. */
  replay(queue: string, messageIds?: readonly string[]): number {
    return transaction(this.#database, () => {
      const meant = meantBy(queue, messageIds);
      this.#database
        .prepare(
          `INSERT INTO message (queue, message_id, body, available_at)
           SELECT queue, message_id, body, :now FROM dead_letter WHERE ${MEANT} ORDER BY id`,
        )
        .run({ ...meant, now: Date.now() });
      return this.#forgetDead(meant);
    });
  }

  /** Forgets dead letters of `messageIds`, or all; says how many. */
  drop(queue: string, messageIds?: readonly string[]): number {
    return this.#forgetDead(meantBy(queue, messageIds));
  }

  #forgetDead(meant: Meant): number {
    return Number(this.#database.prepare(`DELETE FROM dead_letter WHERE ${MEANT}`).run({ ...meant }).changes);
  }
}

function meantBy(queue: string, messageIds: readonly string[] | undefined): Meant {
  return { queue, messageIds: messageIds === undefined ? null : JSON.stringify(messageIds) };
}
