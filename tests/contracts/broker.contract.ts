import { test, type TestContext } from 'node:test';
import { limiting, publishing, sharing } from './broker/delivering.ts';
import { crashing, dying, retrying } from './broker/failing.ts';
import { answering, lasting, stopping } from './broker/stopping.ts';
import type { BrokerSubject, Promised } from './broker/subject.ts';

export type { BrokerSubject, OtherProcess } from './broker/subject.ts';

/** The promises of the Broker port; `arrange` makes an empty store for each. */
export function brokerContract(name: string, arrange: (t: TestContext) => Promise<BrokerSubject>): void {
  const promise: Promised = (what, check) => {
    test(`${name}: ${what}`, { timeout: 120_000 }, async (t) => {
      await check(await arrange(t));
    });
  };
  publishing(promise);
  sharing(promise);
  crashing(promise);
  retrying(promise);
  dying(promise);
  limiting(promise);
  stopping(promise);
  lasting(promise);
  answering(promise);
}
