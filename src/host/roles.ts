import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { registrationOf, senderOf, type Config } from '../config/config.ts';
import type { AudioEngine } from '../ports/audio-engine.ts';
import type { Logger } from '../ports/logger.ts';
import type { Readiness, RunningRole } from '../ports/role.ts';
import type { AuthService } from '../services/auth/auth-service.ts';
import type { GatewayOptions } from '../services/gateway/gateway.ts';
import { dataFolderOf } from './profiles.ts';
import { keptJwtSecret } from './jwt-secret.ts';
import type { PortSet } from './port-set.ts';
import { hasOwnAuth } from './requirements.ts';
import { VERSION } from './version.ts';

/** The roles, in the order in which they start; they stop in reverse. */
export const ROLE_NAMES = ['auth', 'gateway', 'converter', 'notification'] as const;

export type RoleName = (typeof ROLE_NAMES)[number];

/** What a role is started with. */
export interface RoleContext {
  readonly config: Config;
  readonly ports: PortSet;
  readonly log: Logger;
  readonly readiness: Readiness;
  /** The auth service within this process, one for all roles. */
  readonly auth: () => Promise<AuthService>;
  /** Starts what may have to wait for a server; the process is ready only when it runs. */
  readonly startPatiently: (name: RoleName, start: () => Promise<RunningRole>) => Promise<RunningRole>;
  /** The roles of this process. */
  readonly together: ReadonlySet<RoleName>;
  /** Unique to this process; holds its leases. */
  readonly holder: string;
  /** Base of links in mails: the gateway's listening address where nothing is set and it runs here. */
  publicUrl: string;
}

type Start = (context: RoleContext) => Promise<readonly RunningRole[]>;

/** Role → how it starts. What a role needs, it asks of the context's ports. */
export const ROLES: Readonly<Record<RoleName, Start>> = {
  auth: startAuth,
  gateway: startGatewayRole,
  converter: startConverterRole,
  notification: startNotificationRole,
};

/** Everything the roles know of each other's queues. */
function queues(config: Config): { video: string; mp3: string } {
  return { video: config.videoQueue, mp3: config.mp3Queue };
}

/** The auth service on this process's user-store. */
export async function openAuth(config: Config, ports: PortSet, log: Logger): Promise<AuthService> {
  const { AuthService } = await import('../services/auth/auth-service.ts');
  return new AuthService({
    users: await ports.users(),
    secret: config.jwtSecret ?? (await keptJwtSecret(dataFolderOf(config))),
    registration: registrationOf(config),
    rehash: config.rehash === 'on',
    tokenTtlMs: config.tokenTtlMs,
    log,
  });
}

async function startAuth(context: RoleContext): Promise<readonly RunningRole[]> {
  const { config, together, startPatiently, readiness, log } = context;
  const auth = await context.auth();
  const roles: RunningRole[] = [];
  // Beside the gateway, auth is asked within the process and needs no port of its own.
  if (!together.has('gateway')) {
    const { startAuthServer, GATEWAY_NETWORKS } = await import('../services/auth/server.ts');
    const { host, authPort: port, loginResponse } = config;
    const trustedProxies = config.trustedProxies.length > 0 ? config.trustedProxies : GATEWAY_NETWORKS;
    roles.push(
      await startAuthServer({ auth, readiness, log }, { host, port, trustedProxies, loginResponse }),
    );
  }
  const { bootstrapAdminEmail: email, bootstrapAdminPassword: password } = config;
  if (email !== undefined && password !== undefined) {
    const bootstrap = async (): Promise<RunningRole> => {
      await auth.bootstrapAdmin(email, password);
      return { stop: () => Promise.resolve() };
    };
    roles.push(await startPatiently('auth', bootstrap));
  }
  return roles;
}

async function startGatewayRole(context: RoleContext): Promise<readonly RunningRole[]> {
  const { config, ports, log, readiness, holder, together } = context;
  const [{ startGateway }, { startSweeper }, { createFetchVideo }] = await Promise.all([
    import('../services/gateway/gateway.ts'),
    import('../services/gateway/sweeper.ts'),
    import('../services/gateway/import/fetch-video.ts'),
  ]);
  const stores = {
    conversions: await ports.conversions(),
    videos: await ports.videos(),
    mp3s: await ports.mp3s(),
    broker: await ports.broker(),
  };
  const outbox = await ports.outbox();
  const fetchVideo = createFetchVideo({ allow: config.importAllow, timeoutMs: config.importTimeoutMs, log });
  const gateway = await startGateway(
    {
      ...stores,
      auth: hasOwnAuth(config, together) ? await context.auth() : await ports.auth(),
      readiness,
      log,
      fetchVideo,
      ...(outbox === undefined ? {} : { outbox }),
    },
    gatewayOptions(config, holder),
  );
  if (config.publicUrl === undefined && gateway.url !== undefined) context.publicUrl = gateway.url;
  const sweeper = startSweeper(
    { ...stores, log, queues: queues(config), fetches: gateway.fetches },
    {
      intervalMs: 5_000,
      sourceRetentionMs: config.sourceRetentionMs,
      mp3RetentionMs: config.mp3RetentionMs,
      maxAttempts: config.maxAttempts,
      leftoverAgeMs: config.leftoverAgeMs,
    },
  );
  return [gateway, sweeper];
}

function gatewayOptions(config: Config, holder: string): GatewayOptions {
  return {
    host: config.host,
    port: config.port,
    ...(config.publicUrl === undefined ? {} : { publicUrl: config.publicUrl }),
    version: VERSION,
    maxUploadBytes: config.maxUploadBytes,
    minFreeDiskBytes: config.minFreeDiskBytes,
    uploadIdleMs: config.uploadIdleMs,
    trustedProxies: config.trustedProxies,
    loginResponse: config.loginResponse,
    registration: registrationOf(config),
    legacyDownloads: config.legacyDownloads,
    linkTtlMs: config.linkTtlMs,
    queues: queues(config),
    webFolder: fileURLToPath(new URL('../../web', import.meta.url)),
    holder,
  };
}

/** The encoder, as the settings want it. */
export async function openEngine(
  config: Config,
  scratchFolder: string = join(dataFolderOf(config), 'scratch'),
): Promise<AudioEngine> {
  const { createAudioEngine } = await import('../audio/engine.ts');
  return createAudioEngine({
    encoder: config.encoder,
    ...(config.ffmpegPath === undefined ? {} : { ffmpegPath: config.ffmpegPath }),
    searchPath: config.searchPath,
    scratchFolder,
    timeoutMs: config.conversionTimeoutMs,
    maxMp3Bytes: config.maxMp3Bytes,
  });
}

async function startConverterRole({
  config,
  ports,
  log,
  holder,
  startPatiently,
}: RoleContext): Promise<readonly RunningRole[]> {
  const { startConverter } = await import('../services/converter/converter.ts');
  // Videos of a server are spooled there.
  await ports.dataFolder();
  const deps = {
    conversions: await ports.conversions(),
    videos: await ports.videos(),
    mp3s: await ports.mp3s(),
    broker: await ports.broker(),
    engine: await openEngine(config),
    log,
  };
  const { concurrency, maxAttempts } = config;
  const options = {
    queues: queues(config),
    concurrency,
    maxAttempts,
    leaseMs: 10_000,
    renewMs: 1_000,
    pauseMs: 5_000,
    holder,
  };
  return [await startPatiently('converter', () => startConverter(deps, options))];
}

async function startNotificationRole({
  config,
  ports,
  log,
  publicUrl,
  startPatiently,
}: RoleContext): Promise<readonly RunningRole[]> {
  const { startNotification } = await import('../services/notification/notification.ts');
  const deps = {
    conversions: await ports.conversions(),
    mp3s: await ports.mp3s(),
    broker: await ports.broker(),
    mailer: await ports.mailer(),
    log,
  };
  const options = {
    queues: queues(config),
    mailFrom: senderOf(config),
    publicUrl,
    linkTtlMs: config.linkTtlMs,
    concurrency: 4,
    pauseMs: 15_000,
  };
  return [await startPatiently('notification', () => startNotification(deps, options))];
}
