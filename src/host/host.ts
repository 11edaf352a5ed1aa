import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { listeningUrl } from '../domain/listening-url.ts';
import type { Logger } from '../ports/logger.ts';
import type { Readiness, RunningRole } from '../ports/role.ts';
import { withDeadline } from './deadline.ts';
import { explainStart } from './explain-start.ts';
import { PortSet } from './port-set.ts';
import { checkRequirements } from './requirements.ts';
import { openAuth, ROLE_NAMES, ROLES, type RoleContext, type RoleName } from './roles.ts';

/** How long a part may take to stop after its grace, before it is left behind. */
const STOP_MARGIN_MS = 3_000;

/** A process that runs roles. */
export interface Host {
  /** Where the gateway listens, or auth where there is no gateway; undefined without either. */
  readonly url: string | undefined;
  /** Stops the roles in reverse order and closes the adapters, within about `graceMs` and a few seconds. Harmless twice. */
  stop(graceMs: number): Promise<void>;
}

/** Starts `roles` in their order; `config.invalid` names every setting that they lack. Where one does not start, those that did are stopped and the error is thrown. */
export async function startHost(config: Config, roles: readonly RoleName[], log: Logger): Promise<Host> {
  checkRequirements(config, new Set(roles));
  const ports = new PortSet(config, log);
  const started: { name: RoleName; role: RunningRole }[] = [];
  let state: 'starting' | 'running' | 'stopping' = 'starting';
  const readiness: Readiness = async () => {
    const checks = [{ name: 'roles', ok: state === 'running', message: state }, ...(await ports.checks())];
    return { ready: checks.every((check) => check.ok), checks };
  };

  let auth: ReturnType<typeof openAuth> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (graceMs: number): Promise<void> => {
    state = 'stopping';
    stopping ??= stopAll(started, graceMs, log)
      // Where auth did not open, startHost() has thrown why.
      .then(() => auth?.then((opened) => opened.close()).catch(() => undefined))
      .finally(() => ports.close());
    return stopping;
  };

  const context: RoleContext = {
    config,
    ports,
    log,
    readiness,
    auth: () => (auth ??= openAuth(config, ports, log)),
    together: new Set(roles),
    holder: `${hostname()}-${String(process.pid)}-${randomBytes(4).toString('hex')}`,
    publicUrl: config.publicUrl ?? listeningUrl(config.host, config.port),
  };
  try {
    for (const name of ROLE_NAMES.filter((known) => roles.includes(known))) {
      for (const role of await ROLES[name](context)) started.push({ name, role });
      log.info({ role: name }, 'role started');
    }
  } catch (error) {
    await stop(0);
    throw explainStart(error, config);
  }
  state = 'running';
  return { url: started.find(({ role }) => role.url !== undefined)?.role.url, stop };
}

async function stopAll(
  started: readonly { name: RoleName; role: RunningRole }[],
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
