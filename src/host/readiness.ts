import type { Logger } from '../ports/logger.ts';
import type { Check, Readiness } from '../ports/role.ts';

/** What a readiness is made of. */
export interface ReadinessSources {
  /** Whether all roles run, or why not. */
  readonly roles: () => { readonly ok: boolean; readonly message: string };
  /** Asks every adapter whether it answers. */
  readonly ports: () => Promise<readonly Check[]>;
}

/** The readiness of a process. The log tells of each change, once: what went away and why, and what is back. */
export function createReadiness({ roles, ports }: ReadinessSources, log: Logger): Readiness {
  const away = new Set<string>();
  return async () => {
    const checks: readonly Check[] = [{ name: 'roles', ...roles() }, ...(await ports())];
    for (const { name, ok, message } of checks.slice(1)) {
      if (ok && away.delete(name)) log.info({ port: name }, `${name} is back`);
      if (!ok && !away.has(name)) {
        away.add(name);
        log.warn({ port: name }, `${name} is away: ${message ?? 'no reason known'}`);
      }
    }
    return { ready: checks.every((check) => check.ok), checks };
  };
}
