import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import { AudiowaveError } from '../domain/errors.ts';
import { prepareDataFolder } from '../host/data-folder.ts';
import { dataFolderOf, keepsMail, portUrls, shownUrl } from '../host/profiles.ts';
import { openEngine } from '../host/roles.ts';
import { readArguments } from './usage.ts';

interface Finding {
  readonly level: 'ok' | 'note' | 'problem';
  readonly what: string;
}

/** `audiowave doctor`: what was found, what is missing, what to do. 0 where nothing keeps Audiowave from running, else 1. */
export async function doctor(args: readonly string[]): Promise<number> {
  const { config } = readArguments(args);
  const findings = [
    nodeFinding(),
    await encoderFinding(config),
    await dataFinding(config),
    await portFinding(config),
    mailFinding(config),
  ];
  const marks = { ok: '✓', note: '·', problem: '✗' };
  for (const { level, what } of findings) process.stdout.write(`${marks[level]} ${what}\n`);
  return findings.some(({ level }) => level === 'problem') ? 1 : 0;
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

function mailFinding(config: Config): Finding {
  const url = portUrls(config).mail;
  const place = keepsMail(url)
    ? `stays in the outbox, ${url?.replace(/^outbox:/, '') ?? ''}, until MAIL_URL or GMAIL_ADDRESS and GMAIL_PASSWORD name a mail server`
    : `goes to ${shownUrl(url ?? 'no mail server')}`;
  return { level: 'note', what: `Mail ${place}` };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
