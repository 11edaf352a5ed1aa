import { test } from 'node:test';
import type { ConversionStore } from '../../src/ports/conversion-store.ts';
import { durabilityClauses } from './conversion-store/durability.ts';
import { listClauses } from './conversion-store/lists.ts';
import { recordClauses } from './conversion-store/records.ts';
import { sweepClauses } from './conversion-store/sweeps.ts';
import { updateClauses } from './conversion-store/updates.ts';
import type { Clause, OpenStore, StoreExcuses } from './store-subject.ts';

/** Every promise of the port conversion-store. */
export function conversionStoreContract(
  name: string,
  open: OpenStore<ConversionStore>,
  excuses: StoreExcuses = {},
): void {
  const clause: Clause = (promise, body) => {
    void test(`${name}: ${promise}`, body);
  };
  recordClauses(clause, open);
  listClauses(clause, open);
  updateClauses(clause, open);
  sweepClauses(clause, open);
  durabilityClauses(clause, open, excuses);
}
