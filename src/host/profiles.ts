import { join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import type { ProfileName } from '../config/settings.ts';

/** The ports whose adapter is chosen by URL. Undefined: nothing names a server, and the profile has no default. */
export interface PortUrls {
  readonly users: string | undefined;
  readonly conversions: string;
  readonly videos: string;
  readonly mp3s: string;
  readonly broker: string;
  readonly mail: string | undefined;
  /** Undefined: the gateway asks the auth service within its own process. */
  readonly auth: string | undefined;
}

export type PortName = keyof PortUrls;

/** Which adapters stand behind the ports where no URL says otherwise. */
const PROFILES: Readonly<Record<ProfileName, (dataFolder: string) => PortUrls>> = {
  embedded: (dataFolder) => ({
    users: `sqlite:${join(dataFolder, 'users.sqlite')}`,
    conversions: `sqlite:${join(dataFolder, 'conversions.sqlite')}`,
    videos: `file:${join(dataFolder, 'videos')}`,
    mp3s: `file:${join(dataFolder, 'mp3s')}`,
    broker: `sqlite:${join(dataFolder, 'queues.sqlite')}`,
    mail: `outbox:${join(dataFolder, 'outbox')}`,
    auth: undefined,
  }),
  // What the original has in its code (drop-in contract, "Environment"). Its accounts and its mail account have no
  // place that could be guessed.
  distributed: () => ({
    users: undefined,
    conversions: 'mongodb://host.minikube.internal:27017/audiowave',
    videos: 'mongodb://host.minikube.internal:27017/videos',
    mp3s: 'mongodb://host.minikube.internal:27017/mp3s',
    broker: 'amqp://guest:guest@rabbitmq:5672',
    mail: undefined,
    auth: 'http://auth:5000',
  }),
};

/** The data folder as an absolute path. */
export function dataFolderOf(config: Config): string {
  return resolve(config.dataFolder);
}

/** The URL of each port: as set, else the profile's. */
export function portUrls(config: Config): PortUrls {
  const profile = PROFILES[config.profile](dataFolderOf(config));
  return {
    users: config.usersUrl ?? profile.users,
    conversions: config.conversionsUrl ?? profile.conversions,
    videos: config.videosUrl ?? profile.videos,
    mp3s: config.mp3sUrl ?? profile.mp3s,
    broker: config.brokerUrl ?? profile.broker,
    mail: config.mailUrl ?? profile.mail,
    auth: config.authUrl ?? profile.auth,
  };
}

/** True where `url` names a place in the files of this machine, not a server. */
export function isLocal(url: string): boolean {
  return /^(sqlite|file|outbox):/.test(url);
}

/** True where mails stay on this machine and can be read there. */
export function keepsMail(url: string | undefined): boolean {
  return url?.startsWith('outbox:') === true;
}

/** A URL as people may see it: without credentials, and without options. */
export function shownUrl(url: string): string {
  if (isLocal(url)) return url;
  return url.replace(/[?#].*$/s, '').replace(/^([a-z0-9+.-]+:\/\/).*@/is, '$1');
}
