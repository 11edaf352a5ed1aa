import { join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';

/** The ports whose adapter is chosen by URL. */
export interface PortUrls {
  readonly users: string;
  readonly conversions: string;
  readonly videos: string;
  readonly mp3s: string;
  readonly broker: string;
  readonly mail: string;
}

/** Which adapters stand behind the ports where no URL says otherwise. */
const PROFILES = {
  embedded: (dataFolder: string): PortUrls => ({
    users: `sqlite:${join(dataFolder, 'users.sqlite')}`,
    conversions: `sqlite:${join(dataFolder, 'conversions.sqlite')}`,
    videos: `file:${join(dataFolder, 'videos')}`,
    mp3s: `file:${join(dataFolder, 'mp3s')}`,
    broker: `sqlite:${join(dataFolder, 'queues.sqlite')}`,
    mail: `outbox:${join(dataFolder, 'outbox')}`,
  }),
} as const;

/** The data folder as an absolute path. */
export function dataFolderOf(config: Config): string {
  return resolve(config.dataFolder);
}

/** The URL of each port: as set, else the profile's. */
export function portUrls(config: Config): PortUrls {
  const profile = PROFILES.embedded(dataFolderOf(config));
  return {
    users: config.usersUrl ?? profile.users,
    conversions: config.conversionsUrl ?? profile.conversions,
    videos: config.videosUrl ?? profile.videos,
    mp3s: config.mp3sUrl ?? profile.mp3s,
    broker: config.brokerUrl ?? profile.broker,
    mail: config.mailUrl ?? profile.mail,
  };
}
