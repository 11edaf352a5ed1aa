import { setTimeout as delay } from 'node:timers/promises';
import type { ShownConversion } from '../../tests/support/client.ts';
import type { Owner } from './traffic.ts';

/** A record as its owner sees it. */
export interface SeenRecord extends ShownConversion {
  readonly owner: string;
  readonly videoBytes: number | null;
  readonly attempts: number;
  readonly source: { readonly kind: string };
}

interface Page {
  readonly items: readonly Omit<SeenRecord, 'owner'>[];
  readonly nextCursor: string | null;
}

const ENDED = ['ready', 'failed', 'cancelled'];

/** True where nothing more will become of it by itself. */
export function isSettled({ state, mail }: SeenRecord): boolean {
  return ENDED.includes(state) && mail !== 'due';
}

/** All conversions of all owners, over the interface that owners have. */
export async function readRecords(gateway: string, owners: readonly Owner[]): Promise<SeenRecord[]> {
  const lists = await Promise.all(owners.map((owner) => listOf(gateway, owner)));
  return lists.flat();
}

async function listOf(gateway: string, { email, token }: Owner): Promise<SeenRecord[]> {
  const found: SeenRecord[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await fetch(`${gateway}/api/v1/conversions?limit=100${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(30_000),
    });
    if (answer.status !== 200) throw new Error(`The list of ${email} answers ${String(answer.status)}`);
    const page = (await answer.json()) as Page;
    found.push(...page.items.map((item) => ({ ...item, owner: email })));
    cursor = page.nextCursor;
  }
  return found;
}

/**
 * Waits until every record is settled; the records. Gives up, and returns them as they are, where nothing has changed for
 * `idleMs` or after `longestMs`.
 */
export async function waitUntilSettled(
  read: () => Promise<readonly SeenRecord[]>,
  { idleMs, longestMs }: { readonly idleMs: number; readonly longestMs: number },
): Promise<readonly SeenRecord[]> {
  const begun = Date.now();
  let changedAt = begun;
  let last = '';
  for (;;) {
    const records = await read();
    const open = records.filter((record) => !isSettled(record));
    const now = Date.now();
    const seen = open
      .map(({ id, state, mail, progressPercent }) => [id, state, mail, progressPercent].join())
      .join(' ');
    if (seen !== last) [last, changedAt] = [seen, now];
    if (open.length === 0 || now - changedAt > idleMs || now - begun > longestMs) return records;
    await delay(1_000);
  }
}
