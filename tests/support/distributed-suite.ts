import { after, before } from 'node:test';
import { login } from './client.ts';
import { ADMIN, Distributed, type DistributedOptions } from './distributed.ts';
import { suiteFolder } from './temp.ts';

/** Role processes and servers for all tests of a suite, with the first account logged in. Look into it inside of tests only. */
export interface DistributedSuite {
  readonly all: Distributed;
  /** Of the first gateway. */
  readonly url: string;
  readonly token: string;
  /** A folder for what the tests write. */
  readonly folder: string;
}

/** Call it in a suite: starts all before its tests and stops all after them. */
export function distributedSuite(options: Omit<DistributedOptions, 'folder'> = {}): DistributedSuite {
  const folder = suiteFolder({ before, after });
  let all: Distributed | undefined;
  let token: string | undefined;
  before(
    async () => {
      all = await Distributed.start({ ...options, folder: folder() });
      token = await login(all.gatewayUrl, ADMIN);
    },
    { timeout: 180_000 },
  );
  after(() => all?.stop());
  const running = (): Distributed => {
    if (all === undefined) throw new Error('All runs only after the before hook');
    return all;
  };
  return {
    get all() {
      return running();
    },
    get url() {
      return running().gatewayUrl;
    },
    get token() {
      if (token === undefined) throw new Error('The account is logged in only after the before hook');
      return token;
    },
    get folder() {
      return folder();
    },
  };
}
