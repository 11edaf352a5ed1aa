import type { Config } from '../config/config.ts';
import { AudiowaveError } from '../domain/errors.ts';
import { createLog } from './log.ts';
import { PortSet } from './port-set.ts';
import { isLocal, portUrls, shownUrl, type PortName } from './profiles.ts';
import { reasonOf } from './reason.ts';
import { checkRequirements, portsOf } from './requirements.ts';
import type { RoleName } from './roles.ts';

/** What was found of one server. */
export interface ServerFinding {
  readonly port: PortName;
  /** Without credentials. */
  readonly url: string;
  /** Why it is of no use; undefined: it answers, and takes our credentials. */
  readonly trouble: string | undefined;
}

// Longer than the adapters' own deadlines, so that they can say why.
const CHECK_DEADLINE_MS = 8_000;

/** What settings `roles` lack, a line each. */
export function missingSettings(config: Config, roles: ReadonlySet<RoleName>): readonly string[] {
  try {
    checkRequirements(config, roles);
    return [];
  } catch (error) {
    if (error instanceof AudiowaveError) return error.message.split('\n');
    throw error;
  }
}

/** Asks each server that `roles` use whether it answers. */
export async function checkServers(
  config: Config,
  roles: ReadonlySet<RoleName>,
): Promise<readonly ServerFinding[]> {
  const urls = portUrls(config);
  // The finding says what the adapters would tell the log.
  const ports = new PortSet(config, createLog({ ...config, logLevel: 'silent' }));
  try {
    const findings = portsOf(config, roles).flatMap((port) => {
      const url = urls[port];
      return url === undefined || isLocal(url) ? [] : [checkOne(ports, port, url)];
    });
    return await Promise.all(findings);
  } finally {
    await ports.close();
  }
}

async function checkOne(ports: PortSet, port: PortName, url: string): Promise<ServerFinding> {
  const finding = { port, url: shownUrl(url) };
  try {
    const adapter = await (port === 'mail' ? ports.mailer() : ports[port]());
    const { ok, message } = await ports.check(port, Promise.resolve(adapter), CHECK_DEADLINE_MS);
    return { ...finding, trouble: ok ? undefined : message };
  } catch (error) {
    return { ...finding, trouble: reasonOf(error) };
  }
}
