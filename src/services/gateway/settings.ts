import type { QueueNames } from '../../flow/announce.ts';
import type { AuthApi } from '../../ports/auth-api.ts';
import type { Broker } from '../../ports/broker.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';
import type { Logger } from '../../ports/logger.ts';
import type { Outbox } from '../../ports/mailer.ts';
import type { Readiness } from '../../ports/role.ts';
import type { FetchVideo } from './import/fetch-video.ts';

/** What the gateway works with. The host opens and closes all of it. */
export interface GatewayDeps {
  readonly auth: AuthApi;
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly broker: Broker;
  /** Only where mails stay on this machine. */
  readonly outbox?: Outbox;
  readonly readiness: Readiness;
  readonly log: Logger;
  readonly fetchVideo: FetchVideo;
}

export interface GatewayOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Base of one-click links, without a slash at its end; the listening URL by default. */
  readonly publicUrl?: string;
  readonly version: string;
  /** The largest video, in bytes. */
  readonly maxUploadBytes: number;
  /** An upload that would leave less is refused with 507. */
  readonly minFreeDiskBytes: number;
  /** How long an upload may send nothing; 60,000 by default. */
  readonly uploadIdleMs?: number;
  /** Addresses, networks (CIDR) or names of `proxy-addr` whose forwarded headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly loginResponse: 'text' | 'json';
  readonly registration: 'open' | 'closed';
  /** Who may download an MP3 without a record: administrators, or everybody with a token. */
  readonly legacyDownloads: 'closed' | 'open';
  /** How long a one-click link lives. */
  readonly linkTtlMs: number;
  readonly queues: QueueNames;
  /** How long a record `uploading` or `fetching` waits for a gateway that died; 30,000 by default. */
  readonly leaseMs?: number;
  /** Folder of the page; without one there is no page. */
  readonly webFolder: string | undefined;
  /** Names this process in leases; unique. */
  readonly holder: string;
}

/** The options with their defaults. */
export type GatewaySettings = GatewayOptions & Required<Pick<GatewayOptions, 'uploadIdleMs' | 'leaseMs'>>;

export function withDefaults(options: GatewayOptions): GatewaySettings {
  return { ...options, uploadIdleMs: options.uploadIdleMs ?? 60_000, leaseMs: options.leaseMs ?? 30_000 };
}
