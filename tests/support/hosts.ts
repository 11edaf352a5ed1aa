import type { TestContext } from 'node:test';
import { readConfig, type Config, type Environment } from '../../src/config/config.ts';
import { startHost, type Host } from '../../src/host/host.ts';
import { ROLE_NAMES, ROLES, type RoleContext, type RoleName } from '../../src/host/roles.ts';
import type { RunningRole } from '../../src/ports/role.ts';
import { recordedLog } from './recorded-log.ts';
import { tempFolder } from './temp.ts';

/** Settings of a process on a data folder of its own and free ports; `env` wins. */
export async function testConfig(t: Pick<TestContext, 'after'>, env: Environment = {}): Promise<Config> {
  const own = {
    AUDIOWAVE_DATA: await tempFolder(t),
    AUDIOWAVE_PORT: '0',
    AUDIOWAVE_AUTH_PORT: '0',
    AUDIOWAVE_HEALTH_PORT: '0',
    MIN_FREE_DISK: '1MiB',
  };
  return readConfig({ PATH: process.env.PATH, ...own, ...env });
}

/** Starts roles in this process; they are stopped after the test. */
export async function runHost(
  t: Pick<TestContext, 'after'>,
  config: Config,
  roles: readonly RoleName[] = ROLE_NAMES,
): Promise<Host & { readonly log: ReturnType<typeof recordedLog> }> {
  const log = recordedLog();
  const host = await startHost(config, roles, log);
  t.after(() => host.stop(0));
  return { ...host, log };
}

/** What `/readyz` says. */
export async function readyz(
  url: string | undefined,
): Promise<{ status: number; failing: readonly (readonly [string, string | undefined])[] }> {
  const response = await fetch(`${String(url)}/readyz`);
  const { checks } = (await response.json()) as {
    checks: readonly { name: string; ok: boolean; message?: string }[];
  };
  const failing = checks.filter(({ ok }) => !ok).map(({ name, message }) => [name, message] as const);
  return { status: response.status, failing };
}

/** Puts plays in the place of all roles: `events` tells what was started and stopped, in order. */
export function playRoles(
  t: TestContext,
  plays: Partial<Record<RoleName, (context: RoleContext) => Promise<Partial<RunningRole>>>> = {},
): string[] {
  const events: string[] = [];
  for (const name of ROLE_NAMES) {
    t.mock.method(ROLES, name, async (context: RoleContext): Promise<readonly RunningRole[]> => {
      events.push(`start ${name}`);
      const part = (await plays[name]?.(context)) ?? {};
      const stop = async (graceMs: number): Promise<void> => {
        events.push(`stop ${name}`);
        await part.stop?.(graceMs);
      };
      return [{ ...part, stop }];
    });
  }
  return events;
}
