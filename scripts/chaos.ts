import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Distributed } from '../tests/support/distributed.ts';
import { keepServerLogs } from '../tests/support/servers/server-process.ts';
import { audit, findOrphans } from './chaos/audit.ts';
import { prepareInputs, type Input } from './chaos/inputs.ts';
import { Killer } from './chaos/killer.ts';
import { Mp3s } from './chaos/mp3s.ts';
import { showPlan } from './chaos/plan.ts';
import { readDeadLetters, waitUntilDrained } from './chaos/queues.ts';
import { readRecords, waitUntilSettled, type SeenRecord } from './chaos/records.ts';
import { showFindings, showResult, showTable, type Run } from './chaos/report.ts';
import { Buckets, type Bucket } from './chaos/stores.ts';
import { Traffic } from './chaos/traffic.ts';

// `npm run chaos -- --minutes 10 --seed 7`: owners send videos at a steady rate to two processes of each role, while all
// of them and all four servers are killed and started again in a random order; then what was promised is counted. The
// same seed is the same plan of kills. The exit code is 0 where nothing is lost, doubled, stuck or an orphan.

const LEFTOVER_AGE_S = 20;

const SETTINGS = {
  IMPORT_ALLOW: '127.0.0.1',
  LEFTOVER_AGE: `${String(LEFTOVER_AGE_S)}s`,
  LOG_FORMAT: 'json',
};

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly perSecond: number;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: { minutes: { type: 'string' }, seed: { type: 'string' }, rate: { type: 'string' } },
  });
  const number = (text: string | undefined, fallback: number): number => {
    const value = text === undefined ? fallback : Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new Error(`"${text ?? ''}" is no number above 0`);
    return value;
  };
  return {
    minutes: number(values.minutes, 10),
    seed: number(values.seed, (Date.now() % 1_000_000) + 1),
    perSecond: number(values.rate, 2),
  };
}

const begun = Date.now();

function say(text: string): void {
  console.log(`${((Date.now() - begun) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}

/** Kills and traffic, and then all is up again. */
async function storm(all: Distributed, traffic: Traffic, killer: Killer, lengthMs: number): Promise<void> {
  const broken = new AbortController();
  const killing = killer.run(({ target }) => {
    say(`kill ${target}`);
  }, broken.signal);
  // A server that does not come back ends the run at once.
  const gaveUp = killing.then(
    () => new Promise<never>(() => undefined),
    (error: unknown) => Promise.reject(error as Error),
  );
  await Promise.race([Promise.all([killing, traffic.run(Date.now() + lengthMs)]), gaveUp]).finally(() => {
    broken.abort();
  });
  say('no more kills; waiting until all is ready');
  await Promise.all(all.roles.map((role) => role.ready(120_000)));
}

/** Leftovers go some time after the last kill: waits for that as long as it may take, and no longer. */
async function readBuckets(
  buckets: Buckets,
  records: readonly SeenRecord[],
): Promise<{ videos: Bucket; mp3s: Bucket; recordIds: string[] }> {
  // Twice the age of leftovers, the interval of the sweep, and something for a busy machine.
  const end = Date.now() + (3 * LEFTOVER_AGE_S + 30) * 1_000;
  for (;;) {
    const [videos, mp3s] = await Promise.all([buckets.videos(), buckets.mp3s()]);
    const stores = { videos, mp3s, recordIds: await buckets.recordIds() };
    if (Date.now() > end || findOrphans({ records, ...stores }).length === 0) return stores;
    await delay(2_000);
  }
}

async function examine(
  all: Distributed,
  traffic: Traffic,
  killer: Killer,
  inputs: readonly Input[],
  folder: string,
): Promise<Run> {
  const { rabbitmq, smtp } = all.servers;
  const { owners } = traffic;
  const read = (): Promise<SeenRecord[]> => readRecords(all.gatewayUrl, owners);
  await waitUntilSettled(read, { idleMs: 120_000, longestMs: 900_000 });
  say('settled; waiting until queues are empty and leftovers are swept');
  const undrained = await waitUntilDrained(rabbitmq, 90_000);
  const records = await read();
  const buckets = new Buckets(all);
  try {
    const files = await readBuckets(buckets, records);
    say('downloading and decoding every MP3');
    const decoded = join(folder, 'mp3s');
    await mkdir(decoded);
    const mails = await smtp.mails();
    const findings = await audit(
      {
        ...files,
        accepted: traffic.accepted,
        inputs,
        owners,
        records,
        mails,
        deadLetters: await readDeadLetters(rabbitmq),
      },
      new Mp3s(all.gatewayUrl, decoded),
    );
    findings.stuck.push(...undrained);
    return { killer, traffic, records, mails: mails.length, findings };
  } finally {
    await buckets.close();
  }
}

/** One run; true where all is as it was promised. */
async function chaos(options: Options, folder: string): Promise<boolean> {
  const lengthMs = options.minutes * 60_000;
  say('starting MariaDB, RabbitMQ, MongoDB, a mail server, and two processes of each role');
  keepServerLogs(folder);
  const inputs = await prepareInputs();
  const all = await Distributed.start({
    folder,
    processes: { auth: 2, gateway: 2, converter: 2, notification: 2 },
    settings: SETTINGS,
  });
  let traffic: Traffic | undefined;
  onSignal(() => all.stop());
  try {
    const killer = new Killer(all, { seed: options.seed, lengthMs });
    say(
      `seed ${String(options.seed)}: ${String(killer.plan.length)} kills in ${String(options.minutes)} min`,
    );
    console.log(showPlan(killer.plan));
    const gateways = all.of('gateway').map(({ url }) => url);
    traffic = await Traffic.prepare({
      gateways,
      inputs,
      seed: options.seed + 1,
      perSecond: options.perSecond,
    });
    await storm(all, traffic, killer, lengthMs);
    const run = await examine(all, traffic, killer, inputs, folder);
    const wrong = showFindings(run);
    console.log(`\n${showTable(run)}\n`);
    if (wrong.length > 0) {
      await writeFile(join(folder, 'findings.txt'), wrong.join('\n'));
      await writeFile(join(folder, 'records.json'), JSON.stringify(run.records, null, 1));
      await cp(all.servers.smtp.folder, join(folder, 'mails'), { recursive: true });
      console.log(`${wrong.join('\n')}\n\nThe logs of all processes are in ${folder}`);
    }
    console.log(showResult(run));
    return wrong.length === 0;
  } finally {
    traffic?.close();
    await all.stop();
  }
}

/** Ctrl+C: ends all, removes the servers' data, and leaves with 130. */
function onSignal(stop: () => Promise<void>): void {
  const leave = (): void => {
    void stop()
      .then(() => rm(folder, { recursive: true, force: true }))
      .finally(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal).once(signal, leave);
}

const options = readOptions();
const folder = await mkdtemp(join(tmpdir(), 'audiowave-chaos-'));
// Before all has started the kernel ends what was started, as it does wherever this process dies.
onSignal(() => Promise.resolve());
let isGood = false;
try {
  isGood = await chaos(options, folder);
} catch (error) {
  console.error(error);
  console.error(`The run broke off. The logs of all processes are in ${folder}`);
}
if (isGood) await rm(folder, { recursive: true, force: true });
process.exitCode = isGood ? 0 : 1;
