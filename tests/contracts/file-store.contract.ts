import { test, type TestContext } from 'node:test';
import { abandoning } from './file-store/abandoning.ts';
import { ranges, roundTrips } from './file-store/bytes.ts';
import type { Clause, FileStoreExcuses, OpenedFileStore } from './file-store/clause.ts';
import { durability } from './file-store/durability.ts';
import { following } from './file-store/following.ts';
import { visibility } from './file-store/visibility.ts';
import { writing } from './file-store/writing.ts';

/** One test per promise of `src/ports/file-store.ts`. */
export function fileStoreContract(
  name: string,
  open: (t: TestContext) => Promise<OpenedFileStore>,
  excuses: FileStoreExcuses = {},
): void {
  const promise: Clause = (title, body) => {
    test(`${name}: ${title}`, { timeout: 120_000 }, async (t) => {
      const opened = await open(t);
      t.after(() => opened.store.close());
      await body(opened, t);
    });
  };

  roundTrips(promise, excuses);
  ranges(promise);
  visibility(promise);
  writing(promise);
  following(promise);
  abandoning(promise);
  if (excuses.onlyInThisProcess === undefined) durability(promise);
}
