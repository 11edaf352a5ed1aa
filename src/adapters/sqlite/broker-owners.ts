import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { transaction } from './database.ts';
import { isDead, OwnerLock } from './owner-lock.ts';

/** A lock that is younger may be one whose owner is about to take it. */
const LOCK_LEFT_AFTER_MS = 60_000;

interface OwnerRow {
  id: string;
  lease_until: number;
}

/**
 * Who holds messages. This process is one owner; the messages of another one are given back when its lock is free
 * (it is dead: at once) or its lease is over (it hangs, or its machine slept). The attempt stays raised.
 */
export class BrokerOwners {
  /** This owner; never used again after leave(). */
  readonly id = randomUUID();
  readonly #database: DatabaseSync;
  readonly #folder: string;
  readonly #leaseMs: number;
  readonly #others: StatementSync;
  readonly #extend: StatementSync;
  readonly #giveBack: StatementSync;
  readonly #giveBackExpired: StatementSync;
  readonly #remove: StatementSync;
  #lock: OwnerLock | undefined;

  /** `path` is the queues' file; the locks lie in a folder beside it. */
  constructor(database: DatabaseSync, path: string, leaseMs: number) {
    this.#database = database;
    this.#folder = `${path}-owners`;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#leaseMs = leaseMs;
    this.#others = database.prepare('SELECT id, lease_until FROM owner WHERE id <> ?');
    this.#extend = database.prepare(
      `INSERT INTO owner (id, host, pid, lease_until) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until`,
    );
    this.#giveBack = database.prepare('UPDATE message SET owner = NULL WHERE owner = ?');
    this.#giveBackExpired = database.prepare(
      `UPDATE message SET owner = NULL
       WHERE owner = (SELECT id FROM owner WHERE id = ? AND lease_until < ?)`,
    );
    this.#remove = database.prepare('DELETE FROM owner WHERE id = ?');
  }

  /** Shows the sign of life, before the first message is taken. */
  join(): void {
    if (this.#lock !== undefined) return;
    this.#lock = new OwnerLock(join(this.#folder, this.id));
    this.extendLease();
  }

  extendLease(): void {
    this.#extend.run(this.id, hostname(), process.pid, Date.now() + this.#leaseMs);
  }

  /** Removes locks that belong to nobody: of processes that were killed in the midst of joining or reaping. */
  sweepLocks(): void {
    for (const id of readdirSync(this.#folder)) {
      const path = join(this.#folder, id);
      const touchedAt = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
      if (touchedAt < Date.now() - LOCK_LEFT_AFTER_MS) isDead(path);
    }
  }

  /** Gives back what dead or silent owners hold; says how many messages that were. */
  reap(): number {
    const dead: string[] = [];
    const silent: string[] = [];
    for (const { id, lease_until } of this.#others.all(this.id) as unknown as OwnerRow[]) {
      if (isDead(join(this.#folder, id))) dead.push(id);
      else if (lease_until < Date.now()) silent.push(id);
    }
    if (dead.length === 0 && !silent.some((id) => this.#holdsAny(id))) return 0;
    return transaction(this.#database, () => this.#giveBackAll(dead, silent));
  }

  /** Takes the sign of life down. The messages must have been handed back: what is left counts as crashed. */
  leave(): void {
    if (this.#lock === undefined) return;
    this.#lock.release();
    this.#lock = undefined;
    transaction(this.#database, () => this.#giveBackAll([this.id], []));
  }

  #holdsAny(id: string): boolean {
    return this.#database.prepare('SELECT 1 FROM message WHERE owner = ? LIMIT 1').get(id) !== undefined;
  }

  #giveBackAll(dead: readonly string[], silent: readonly string[]): number {
    let count = 0;
    for (const id of dead) {
      count += Number(this.#giveBack.run(id).changes);
      this.#remove.run(id);
    }
    // The lease is looked at again: it may have been extended a moment ago.
    for (const id of silent) count += Number(this.#giveBackExpired.run(id, Date.now()).changes);
    return count;
  }
}
