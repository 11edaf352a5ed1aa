import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { listeningUrl } from '../domain/listening-url.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunningRole } from '../ports/role.ts';
import type { AuthService } from '../services/auth/auth-service.ts';
import { withDeadline } from './deadline.ts';
import { explainStart } from './explain-start.ts';
import { startHealthServer } from './health-server.ts';
import { startPatiently } from './patient-start.ts';
import { PortSet } from './port-set.ts';
import { createReadiness } from './readiness.ts';
import { checkRequirements } from './requirements.ts';
import { openAuth, ROLE_NAMES, ROLES, type RoleContext, type RoleName } from './roles.ts';

/** How long a part may take to stop after its grace, before it is left behind. */
const STOP_MARGIN_MS = 3_000;

/** A process that runs roles. */
export interface Host {
  /** Where the gateway listens, or auth where there is no gateway; undefined without either. */
  readonly url: string | undefined;
  /** Where the probes are answered; undefined where the roles answer them at their `url`. */
  readonly healthUrl: string | undefined;
  /** Resolves with the error where a role fails after the start; the process is of no use then. */
  readonly failed: Promise<unknown>;
  /** Stops the roles in reverse order and closes the adapters, within about `graceMs` and a few seconds. Harmless twice. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts `roles` in their order. Servers that are away keep no role from starting for long: it waits for them beside the
 * others, and readiness is red. `config.invalid` names every setting that the roles lack. Where one does not start for
 * another reason, those that did are stopped and the error is thrown.
 */
export async function startHost(config: Config, roles: readonly RoleName[], log: Logger): Promise<Host> {
  const group = new RoleGroup(config, new Set(roles), log);
  try {
    await group.start();
  } catch (error) {
    await group.stop(0);
    throw explainStart(error, config);
  }
  const { url, healthUrl, failed } = group;
  return { url, healthUrl, failed, stop: (graceMs) => group.stop(graceMs) };
}

/** The roles of one process. */
class RoleGroup implements Host {
  readonly #config: Config;
  readonly #roles: ReadonlySet<RoleName>;
  readonly #log: Logger;
  readonly #ports: PortSet;
  readonly #context: RoleContext;
  readonly #started: { name: string; role: RunningRole }[] = [];
  readonly #failure = Promise.withResolvers<unknown>();
  /** Role → why it does not run yet. */
  readonly #waiting = new Map<RoleName, string>();
  #state: 'starting' | 'running' | 'stopping' = 'starting';
  #auth: Promise<AuthService> | undefined;
  #stopping: Promise<void> | undefined;
  #healthUrl: string | undefined;

  constructor(config: Config, roles: ReadonlySet<RoleName>, log: Logger) {
    checkRequirements(config, roles);
    this.#config = config;
    this.#roles = roles;
    this.#log = log;
    this.#ports = new PortSet(config, log);
    this.#context = {
      config,
      ports: this.#ports,
      log,
      readiness: createReadiness({ roles: () => this.#running(), ports: () => this.#ports.checks() }, log),
      auth: () => (this.#auth ??= openAuth(config, this.#ports, log)),
      startPatiently: (name, start) => this.#startPatiently(name, start),
      together: roles,
      holder: `${hostname()}-${String(process.pid)}-${randomBytes(4).toString('hex')}`,
      publicUrl: config.publicUrl ?? listeningUrl(config.host, config.port),
    };
  }

  get url(): string | undefined {
    return this.#started.find(({ role }) => role.url !== undefined)?.role.url;
  }

  get healthUrl(): string | undefined {
    return this.#healthUrl;
  }

  get failed(): Promise<unknown> {
    return this.#failure.promise;
  }

  async start(): Promise<void> {
    if (!this.#roles.has('gateway') && !this.#roles.has('auth')) await this.#startHealthServer();
    for (const name of ROLE_NAMES.filter((known) => this.#roles.has(known))) {
      for (const role of await ROLES[name](this.#context)) this.#started.push({ name, role });
      this.#log.info({ role: name }, 'role started');
    }
    this.#state = 'running';
  }

  stop(graceMs: number): Promise<void> {
    this.#state = 'stopping';
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    try {
      await stopAll(this.#started, graceMs, this.#log);
      // Where auth did not open, start() has thrown why.
      await this.#auth?.then((opened) => opened.close()).catch(() => undefined);
    } finally {
      await this.#ports.close();
    }
  }

  /** Before all roles, and stopped after them: the process lives in between, whatever they wait for. */
  async #startHealthServer(): Promise<void> {
    const { host, healthPort: port } = this.#config;
    const { url, stop } = await startHealthServer(this.#context.readiness, { host, port });
    this.#healthUrl = url;
    this.#started.push({ name: 'health', role: { stop } });
  }

  #startPatiently(name: RoleName, start: () => Promise<RunningRole>): Promise<RunningRole> {
    return startPatiently(start, {
      log: this.#log,
      onWait: (reason) => {
        if (reason === undefined) this.#waiting.delete(name);
        else this.#waiting.set(name, reason);
      },
      onFailure: this.#failure.resolve,
    });
  }

  #running(): { ok: boolean; message: string } {
    const waiting = [...this.#waiting].map(([name, reason]) => `${name} waits: ${reason}`);
    const ok = this.#state === 'running' && waiting.length === 0;
    return { ok, message: this.#state === 'running' && !ok ? waiting.join('; ') : this.#state };
  }
}

async function stopAll(
  started: readonly { name: string; role: RunningRole }[],
  graceMs: number,
  log: Logger,
): Promise<void> {
  const end = Date.now() + graceMs;
  for (const { name, role } of [...started].reverse()) {
    const leftMs = Math.max(0, end - Date.now());
    try {
      await withDeadline(role.stop(leftMs), leftMs + STOP_MARGIN_MS);
    } catch (error) {
      log.warn({ err: error, role: name }, 'role not stopped cleanly');
    }
  }
}
