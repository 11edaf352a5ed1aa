import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import { AudiowaveError } from '../domain/errors.ts';
import { prepareDataFolder } from '../host/data-folder.ts';
import { dataFolderOf, isLocal, keepsMail, portUrls, type PortName } from '../host/profiles.ts';
import { portsOf } from '../host/requirements.ts';
import { openEngine, type RoleName } from '../host/roles.ts';
import { checkServers, missingSettings, type ServerFinding } from '../host/servers.ts';
import { readArguments, rolesOf } from './usage.ts';

interface Finding {
  readonly level: 'ok' | 'note' | 'problem';
  readonly what: string;
}

/**
 * `audiowave doctor [role…]`: what was found for these roles (all where none is named), what is missing, what to do. 0
 * where nothing keeps them from running, else 1.
 */
export async function doctor(args: readonly string[]): Promise<number> {
  const { config, words } = readArguments(args);
  const roles = new Set(rolesOf(words));
  const findings = [
    nodeFinding(),
    ...(roles.has('converter') ? [await encoderFinding(config)] : []),
    ...(needsFolder(config, roles) ? [await dataFinding(config)] : []),
    ...(roles.has('gateway') ? [await portFinding(config)] : []),
    ...(roles.has('notification') && keepsMail(portUrls(config).mail) ? [outboxFinding(config)] : []),
    ...missingSettings(config, roles).map((what): Finding => ({ level: 'problem', what })),
    ...(await checkServers(config, roles)).map(serverFinding),
  ];
  const marks = { ok: '✓', note: '·', problem: '✗' };
  for (const { level, what } of findings) process.stdout.write(`${marks[level]} ${what}\n`);
  return findings.some(({ level }) => level === 'problem') ? 1 : 0;
}

/** Converters spool the videos of a server in it. */
function needsFolder(config: Config, roles: ReadonlySet<RoleName>): boolean {
  const urls = portUrls(config);
  return roles.has('converter') || portsOf(config, roles).some((port) => isLocal(urls[port] ?? ''));
}

/** Server → what it is to people, and the settings that say where it is and how to log in. */
const SERVERS: Readonly<Record<PortName, readonly [string, string]>> = {
  users: ['Accounts', 'USERS_URL, or MYSQL_HOST, MYSQL_USER, MYSQL_PASSWORD and MYSQL_DB'],
  conversions: ['Conversions', 'CONVERSIONS_URL, or MONGO_URI'],
  videos: ['Videos', 'VIDEOS_URL, or MONGODB_VIDEOS_URI or MONGO_URI'],
  mp3s: ['MP3s', 'MP3S_URL, or MONGODB_MP3S_URI or MONGO_URI'],
  broker: ['Broker', 'BROKER_URL, or RABBITMQ_HOST, RABBITMQ_USER and RABBITMQ_PASSWORD'],
  mail: ['Mail', 'MAIL_URL, or GMAIL_ADDRESS and GMAIL_PASSWORD, or SMTP_HOST'],
  auth: ['Auth', 'AUTH_URL, or AUTH_SVC_ADDRESS'],
};

function serverFinding({ port, url, trouble }: ServerFinding): Finding {
  const [name, settings] = SERVERS[port];
  if (trouble === undefined) return { level: 'ok', what: `${name}: ${url} answers` };
  return {
    level: 'problem',
    what: `${name}: ${url}: ${trouble.replace(/\.$/, '')}. Start it, or correct its address and credentials: ${settings}.`,
  };
}

function nodeFinding(): Finding {
  return { level: 'ok', what: `Node ${process.versions.node} (${process.execPath})` };
}

async function encoderFinding(config: Config): Promise<Finding> {
  try {
    const { kind, version, path } = await (await openEngine(config)).program();
    if (kind === 'ffmpeg') return { level: 'ok', what: `Encoder: ffmpeg ${version} (${path ?? ''})` };
    return {
      level: 'note',
      what: `Encoder: node-av ${version}, which npm brought. An ffmpeg with libmp3lame on the PATH is faster: apt-get install ffmpeg`,
    };
  } catch (error) {
    return { level: 'problem', what: `Encoder: ${messageOf(error)}${whyOf(error)} ${encoderRemedy(config)}` };
  }
}

/** What was tried; the message alone does not tell it. */
function whyOf(error: unknown): string {
  return error instanceof AudiowaveError && error.detail !== undefined ? ` (${error.detail})` : '';
}

/** Who names an ffmpeg gets no other. */
function encoderRemedy({ encoder, ffmpegPath }: Config): string {
  return ffmpegPath !== undefined && encoder !== 'node-av'
    ? 'Set AUDIOWAVE_FFMPEG to an ffmpeg with libmp3lame, or unset it.'
    : 'Install ffmpeg (apt-get install ffmpeg), or run npm ci without --omit=optional.';
}

async function dataFinding(config: Config): Promise<Finding> {
  const folder = dataFolderOf(config);
  try {
    await prepareDataFolder(folder);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const gib = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
    if (free < config.minFreeDiskBytes) {
      return {
        level: 'problem',
        what: `Data folder ${folder}: ${gib(free)} free, below MIN_FREE_DISK (${gib(config.minFreeDiskBytes)}); uploads are refused. Free space or lower MIN_FREE_DISK.`,
      };
    }
    return { level: 'ok', what: `Data folder ${folder}: can be written to, ${gib(free)} free` };
  } catch (error) {
    return {
      level: 'problem',
      what: `Data folder ${folder}: ${messageOf(error)}. Set AUDIOWAVE_DATA to a folder you may write to.`,
    };
  }
}

async function portFinding(config: Config): Promise<Finding> {
  const place = `${config.host}:${String(config.port)}`;
  const code = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    server.listen(config.port, config.host, () =>
      server.close(() => {
        resolve(undefined);
      }),
    );
  });
  if (code === undefined) return { level: 'ok', what: `Port ${place} is free` };
  if (code === 'EADDRINUSE') {
    return {
      level: 'note',
      what: `Port ${place} is taken: Audiowave runs already, or another program does; then choose one with AUDIOWAVE_PORT`,
    };
  }
  return {
    level: 'problem',
    what: `Port ${place}: ${code}. Set AUDIOWAVE_HOST and AUDIOWAVE_PORT to an address of this machine.`,
  };
}

function outboxFinding(config: Config): Finding {
  const folder = portUrls(config).mail?.replace(/^outbox:/, '') ?? '';
  return {
    level: 'note',
    what: `Mail stays in the outbox, ${folder}, until MAIL_URL, or GMAIL_ADDRESS and GMAIL_PASSWORD, name a mail server`,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
