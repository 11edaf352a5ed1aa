/**
 * Schema of the queues' file, one step a version (see openDatabase).
 * - `attempt` is the number of the newest delivery that counts; `delivery` rises with every delivery and never falls,
 *   so that a late verdict can be told from one on the newest delivery.
 * - `available_at` and `lease_until` are milliseconds since the epoch.
 * - `owner` is the broker instance that holds the message; its row is there as long as it holds one.
 */
export const BROKER_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE owner (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    delivery INTEGER NOT NULL DEFAULT 0,
    available_at INTEGER NOT NULL,
    owner TEXT REFERENCES owner (id)
  ) STRICT;
  CREATE INDEX message_waiting ON message (queue, available_at, id) WHERE owner IS NULL;
  CREATE INDEX message_held ON message (owner, queue) WHERE owner IS NOT NULL;

  CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    died_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX dead_letter_of_queue ON dead_letter (queue, id);
  `,
];
