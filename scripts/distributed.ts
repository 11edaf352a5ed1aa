import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Distributed } from '../tests/support/distributed.ts';
import { installCommand, missingOf, SERVER_PROGRAMS } from './programs.ts';

// `npm run distributed`: what deploy/compose.yaml starts, without Docker, for development: MariaDB, RabbitMQ, a MongoDB
// server and a mail server, as this machine has them, and one process of each role. Ctrl+C ends all of it; nothing is kept.

// npm passes Ctrl+C on to a process that has got it already: a second signal counts only after this time.
const ECHO_MS = 1_000;

const EMAIL = 'admin@example.com';

function checkPrograms(): void {
  const missing = missingOf(SERVER_PROGRAMS);
  if (missing.length === 0) return;
  console.error(`Not found: ${missing.join(', ')}. On Debian, as root:`);
  console.error(`  ${installCommand(SERVER_PROGRAMS, missing)}`);
  process.exit(1);
}

function readPort(): number {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' } } });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`"${values.port}" is no port.`);
  return port;
}

/** Resolves with the first signal; a second one, later than npm's echo, quits at once. */
function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstAt !== undefined && Date.now() - firstAt > ECHO_MS) process.exit(130);
    firstAt ??= Date.now();
    resolve(signal);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return promise;
}

const COLOURS = [36, 32, 33, 35];
const width = 'notification-1'.length;

function printer(): (process: string, line: string) => void {
  const colours = new Map<string, number>();
  return (name, line) => {
    const colour = colours.get(name) ?? COLOURS[colours.size % COLOURS.length] ?? 0;
    colours.set(name, colour);
    const prefix = name.padEnd(width);
    console.log(
      process.stdout.isTTY ? `\u001b[${String(colour)}m${prefix}\u001b[0m ${line}` : `${prefix} ${line}`,
    );
  };
}

function welcome(all: Distributed, password: string): string {
  const url = all.gatewayUrl;
  const { mariadb, rabbitmq, mongodb, smtp } = all.servers;
  return `
Audiowave runs as ${String(all.roles.length)} processes. Open ${url}/ or:

  TOKEN=$(curl -s -X POST ${url}/login -u ${EMAIL}:${password})
  curl -X POST -F "file=@video.mp4" -H "Authorization: Bearer $TOKEN" ${url}/upload
  curl -X GET -H "Authorization: Bearer $TOKEN" --output out.mp3 "${url}/download?fid=<fid from the mail>"

  account   ${EMAIL}, password ${password}
  mails     ${smtp.folder}
  auth      ${all.one('auth').url}
  MariaDB   ${mariadb.url}
  RabbitMQ  ${rabbitmq.url}
  MongoDB   ${mongodb.url}${mongodb.kind === 'stand-in' ? ' (a stand-in: no mongod was found)' : ''}

Ctrl+C ends all of it; nothing is kept.
`;
}

async function run(folder: string, stopped: Promise<unknown>): Promise<void> {
  const port = readPort();
  const password = randomBytes(9).toString('base64url');
  console.log('Starting MariaDB, RabbitMQ, MongoDB, a mail server and four processes: about 15 s …');
  const starting = Distributed.start({
    folder,
    gatewayPort: port,
    settings: {
      BOOTSTRAP_ADMIN_EMAIL: EMAIL,
      BOOTSTRAP_ADMIN_PASSWORD: password,
      LOG_FORMAT: 'pretty',
    },
    onLine: printer(),
  });
  const all = await starting;
  try {
    console.log(welcome(all, password));
    await stopped;
    console.log('Stopping …');
    await all.shutDown();
  } finally {
    await all.stop();
  }
}

checkPrograms();
const stopped = nextSignal();
const folder = await mkdtemp(join(tmpdir(), 'audiowave-distributed-'));
try {
  await run(folder, stopped);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
