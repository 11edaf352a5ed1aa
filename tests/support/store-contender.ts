// A second process for the tests of the embedded stores: `node store-contender.ts <contest> <file>`. It opens the
// store, says so, waits to be told to begin, does the same as its parent at the same time, and tells what it won.
import { once } from 'node:events';
import { conversionContest, userContest } from './store-contest.ts';

const CONTESTS = { users: userContest, conversions: conversionContest };

const [contest, file] = process.argv.slice(2);
const run = CONTESTS[contest as keyof typeof CONTESTS](file ?? '', 'child');
process.send?.('open');
await once(process, 'message');
process.send?.(await run());
process.disconnect();
