import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

/** A store under test, and what its adapter can do besides. The maker closes everything after the test. */
export interface StoreSubject<S> {
  readonly store: S;
  /** Another instance on the same data, at the same time, as another process has it. */
  readonly second?: () => Promise<S>;
  /** Lets go of the store and opens the same data again. */
  readonly reopen?: () => Promise<S>;
}

export type OpenStore<S> = (t: TestContext) => Promise<StoreSubject<S>>;

/** Registers one test for one promise. */
export type Clause = (promise: string, body: (t: TestContext) => Promise<void>) => void;

/** Why an adapter can't show a clause; decided by the test file. */
export interface StoreExcuses {
  readonly second?: string;
  readonly reopen?: string;
}

/** The capability of a subject; fails where an adapter that is not excused lacks it. */
export function capability<S>(subject: StoreSubject<S>, name: keyof StoreExcuses): () => Promise<S> {
  const found = subject[name];
  assert.ok(found, `this adapter can't ${name}, and its test file names no excuse`);
  return found;
}

interface Closable {
  close(): Promise<void>;
}

/** Opens a durable adapter through `openOnce`, as often as the clause wants, and closes all of it after the test. */
export async function durableSubject<S extends Closable>(
  t: TestContext,
  openOnce: () => S | Promise<S>,
): Promise<StoreSubject<S>> {
  const opened: S[] = [];
  t.after(async () => {
    for (const store of opened) await store.close();
  });
  const open = async (): Promise<S> => {
    const store = await openOnce();
    opened.push(store);
    return store;
  };
  const store = await open();
  const reopen = async (): Promise<S> => {
    for (const former of opened.splice(0)) await former.close();
    return open();
  };
  return { store, second: open, reopen };
}
