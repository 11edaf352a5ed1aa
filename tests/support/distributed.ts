import { randomBytes } from 'node:crypto';
import { RoleProcess, type Role } from './role-process.ts';
import { startMariaDb } from './servers/mariadb.ts';
import { startMongoDb, type MongoDbServer } from './servers/mongodb.ts';
import { startRabbitMq, type RabbitMqServer } from './servers/rabbitmq.ts';
import type { TestServer } from './servers/server-process.ts';
import { startSmtpProcess, type SmtpProcess } from './servers/smtp-process.ts';

/** The real servers behind the four roles. */
export interface Servers {
  readonly mariadb: TestServer;
  readonly rabbitmq: RabbitMqServer;
  readonly mongodb: MongoDbServer;
  readonly smtp: SmtpProcess;
}

export type ServerName = keyof Servers;

export interface DistributedOptions {
  /** Of the data and the logs of the role processes. */
  readonly folder: string;
  /** How many processes of each role; 1 where nothing is said. */
  readonly processes?: Partial<Readonly<Record<Role, number>>>;
  /** For all role processes. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the first gateway; a free one where nothing is said. */
  readonly gatewayPort?: number;
  /** Gets what the role processes print instead of their log files. */
  readonly onLine?: (process: string, line: string) => void;
}

// Auth is asked by the gateways, which are asked by clients; nothing depends on this order but how soon all are ready.
const ROLES: readonly Role[] = ['auth', 'gateway', 'converter', 'notification'];

export const ADMIN = { email: 'ann@example.com', password: 'correct horse battery' };

/**
 * The whole of it as it runs in production: MariaDB, RabbitMQ, a MongoDB server, a mail server, and processes of the four
 * roles that know them by their URLs only. Nothing of it outlives this process.
 */
export class Distributed {
  readonly servers: Servers;
  readonly roles: readonly RoleProcess[];
  /** What all processes are told: which server stands behind which port, and the secret that signs tokens. */
  readonly settings: Readonly<Record<string, string>>;

  private constructor(
    servers: Servers,
    roles: readonly RoleProcess[],
    settings: Readonly<Record<string, string>>,
  ) {
    this.servers = servers;
    this.roles = roles;
    this.settings = settings;
  }

  /** Starts the servers and lays out the processes, of which none runs yet. */
  static async prepare(options: DistributedOptions): Promise<Distributed> {
    const servers = await startServers();
    try {
      const jwtSecret = randomBytes(32).toString('base64url');
      const settings = { ...storeSettings(servers), JWT_SECRET: jwtSecret, ...options.settings };
      return new Distributed(servers, await layOut(options, settings), settings);
    } catch (error) {
      await stopServers(servers);
      throw error;
    }
  }

  /** Starts all; resolves when each process is ready. */
  static async start(options: DistributedOptions): Promise<Distributed> {
    const all = await Distributed.prepare(options);
    try {
      await all.startRoles();
      return all;
    } catch (error) {
      await all.stop();
      throw error;
    }
  }

  /** Starts the processes that do not run; resolves when each process is ready. */
  async startRoles(): Promise<void> {
    await Promise.all(this.roles.filter((role) => !role.runs).map((role) => role.start()));
    await Promise.all(this.roles.map((role) => role.ready()));
  }

  /** By their names, in no order that matters. */
  get serverList(): readonly (readonly [ServerName, TestServer])[] {
    return listOf(this.servers);
  }

  of(role: Role): readonly RoleProcess[] {
    return this.roles.filter((one) => one.role === role);
  }

  /** The first process of that role. */
  one(role: Role): RoleProcess {
    return this.named(`${role}-1`);
  }

  /** By its name: `gateway-2`. */
  named(name: string): RoleProcess {
    const found = this.roles.find((one) => one.name === name);
    if (found === undefined) throw new Error(`There is no process ${name}`);
    return found;
  }

  get gatewayUrl(): string {
    return this.one('gateway').url;
  }

  /** SIGTERM to all processes, and waits until they have ended as they should; then the servers. Harmless twice. */
  async shutDown(): Promise<void> {
    await Promise.all(this.roles.map((role) => role.stop()));
    await stopServers(this.servers);
  }

  /** Ends all processes and servers; the servers' data go. Harmless twice. */
  async stop(): Promise<void> {
    await Promise.all(this.roles.map((role) => role.kill()));
    await stopServers(this.servers);
  }
}

/** Starts the four at once. Where one can't be had, the others are stopped, and the error says which and why. */
async function startServers(): Promise<Servers> {
  const starting = [startMariaDb(), startRabbitMq(), startMongoDb(), startSmtpProcess()] as const;
  const results = await Promise.allSettled(starting);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    for (const result of results) if (result.status === 'fulfilled') await result.value.stop();
    throw failed.reason;
  }
  const [mariadb, rabbitmq, mongodb, smtp] = await Promise.all(starting);
  return { mariadb, rabbitmq, mongodb, smtp };
}

async function stopServers(servers: Servers): Promise<void> {
  await Promise.all(listOf(servers).map(([, server]) => server.stop()));
}

function listOf({
  mariadb,
  rabbitmq,
  mongodb,
  smtp,
}: Servers): readonly (readonly [ServerName, TestServer])[] {
  return [
    ['mariadb', mariadb],
    ['rabbitmq', rabbitmq],
    ['mongodb', mongodb],
    ['smtp', smtp],
  ];
}

/** Which server stands behind which port, as `docs/configuration.md` names the settings. */
function storeSettings({ mariadb, rabbitmq, mongodb, smtp }: Servers): Record<string, string> {
  return {
    USERS_URL: mariadb.url,
    CONVERSIONS_URL: databaseOf(mongodb, 'audiowave'),
    VIDEOS_URL: databaseOf(mongodb, 'videos'),
    MP3S_URL: databaseOf(mongodb, 'mp3s'),
    BROKER_URL: rabbitmq.url,
    MAIL_URL: smtp.url,
    MAIL_FROM: 'audiowave@example.com',
  };
}

/** On a server of somebody else's the names may be taken. */
function databaseOf(mongodb: MongoDbServer, name: string): string {
  return mongodb.kind === 'given' ? mongodb.freshUrl(name) : `${mongodb.url}${name}`;
}

async function layOut(
  { folder, processes = {}, settings = {}, gatewayPort, onLine }: DistributedOptions,
  shared: Readonly<Record<string, string>>,
): Promise<RoleProcess[]> {
  const laidOut: RoleProcess[] = [];
  // Before the others are known: where a mail's links lead.
  let publicUrl = settings.AUDIOWAVE_PUBLIC_URL;
  for (const role of ROLES) {
    for (let n = 1; n <= (processes[role] ?? 1); n++) {
      const auths = laidOut.filter((one) => one.role === 'auth');
      const name = `${role}-${String(n)}`;
      const one = await RoleProcess.create({
        name,
        role,
        folder,
        ...(name === 'gateway-1' && gatewayPort !== undefined ? { port: gatewayPort } : {}),
        ...(onLine === undefined
          ? {}
          : {
              onLine: (line: string) => {
                onLine(name, line);
              },
            }),
        settings: {
          ...shared,
          ...(role === 'gateway' ? { AUTH_URL: auths[(n - 1) % auths.length]?.url ?? '' } : {}),
          ...(role === 'auth'
            ? { BOOTSTRAP_ADMIN_EMAIL: ADMIN.email, BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password }
            : {}),
          ...(publicUrl === undefined ? {} : { AUDIOWAVE_PUBLIC_URL: publicUrl }),
          ...settings,
        },
      });
      if (role === 'gateway') publicUrl ??= one.url;
      laidOut.push(one);
    }
  }
  return laidOut;
}
