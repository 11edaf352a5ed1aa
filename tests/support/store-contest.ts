import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MySqlUserStore } from '../../src/adapters/mysql/user-store.ts';
import { MongoConversionStore } from '../../src/adapters/mongodb/conversion-store.ts';
import { SqliteConversionStore } from '../../src/adapters/sqlite/conversion-store.ts';
import { SqliteUserStore } from '../../src/adapters/sqlite/user-store.ts';
import { claim } from '../../src/domain/conversion.ts';
import { hasCode } from '../../src/domain/errors.ts';
import type { FileId } from '../../src/domain/ids.ts';
import type { ConversionStore } from '../../src/ports/conversion-store.ts';
import type { UserStore } from '../../src/ports/user-store.ts';
import { recordedLog } from './recorded-log.ts';

/** How many records each contest is about. */
export const CONTEST_SIZE = 60;

/** Opens the store of `place` (a file, or a URL) at once; the function given back contends and returns what it won. */
export type Contest = (place: string, contender: string) => () => Promise<string[]>;

function openUsers(place: string): UserStore {
  return place.startsWith('mysql:')
    ? MySqlUserStore.open(place, { log: recordedLog() })
    : SqliteUserStore.open(place);
}

/** Each contender adds accounts of its own and, in between, accounts that the other adds too. */
export const userContest: Contest = (place, contender) => {
  const store = openUsers(place);
  return async () => {
    const won: string[] = [];
    for (let n = 0; n < CONTEST_SIZE; n += 1) {
      await store.add({ email: `${contender}${String(n)}@example.com`, password: 'x', role: 'user' });
      try {
        await store.add({ email: `Same${String(n)}@example.com`, password: contender, role: 'user' });
        won.push(`Same${String(n)}@example.com`);
      } catch (error) {
        if (!hasCode(error, 'user.exists')) throw error;
      }
      await nextTurn();
    }
    await store.close();
    return won;
  };
};

/** The id of the n-th record of a contest. */
export function contestId(n: number): FileId {
  return n.toString(16).padStart(24, '0') as FileId;
}

function openConversions(place: string): ConversionStore {
  return place.startsWith('mongodb:')
    ? MongoConversionStore.open(place, { log: recordedLog() })
    : SqliteConversionStore.open(place);
}

/** Each contender claims every queued record, and in between raises the attempts of record 0, which nobody claims. */
export const conversionContest: Contest = (place, contender) => {
  const store = openConversions(place);
  return async () => {
    const won: string[] = [];
    for (let n = 1; n <= CONTEST_SIZE; n += 1) {
      const now = Date.now();
      const lease = { holder: contender, until: now + 60_000 };
      if ((await store.update(contestId(n), (c) => claim(c, lease, now))) !== undefined)
        won.push(contestId(n));
      await store.update(contestId(0), (c) => ({ ...c, attempts: c.attempts + 1 }));
      await nextTurn();
    }
    await store.close();
    return won;
  };
};

/** Runs a contest in this process and in a second one at the same time; what each of them won. */
export async function contend(
  t: { after(work: () => void): void },
  name: 'users' | 'conversions',
  place: string,
): Promise<{ readonly ours: string[]; readonly theirs: string[] }> {
  const run = (name === 'users' ? userContest : conversionContest)(place, 'parent');
  const program = fileURLToPath(new URL('store-contender.ts', import.meta.url));
  const child = fork(program, [name, place], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const died = exited.then(([code]) =>
    Promise.reject(new Error(`the second process ended: ${String(code)}`)),
  );
  died.catch(() => undefined);
  await Promise.race([once(child, 'message'), died]);
  const answer = Promise.race([once(child, 'message') as Promise<[string[]]>, died]);
  child.send('begin');
  const [ours, [theirs]] = await Promise.all([run(), answer]);
  await exited;
  return { ours, theirs };
}
