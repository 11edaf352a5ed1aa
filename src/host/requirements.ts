import type { Config } from '../config/config.ts';
import { AudiowaveError } from '../domain/errors.ts';
import { isLocal, portUrls, type PortName } from './profiles.ts';
import type { RoleName } from './roles.ts';

/** What a port that has no URL is told to be set by. */
const MISSING: Partial<Record<PortName, string>> = {
  users: 'USERS_URL (or MYSQL_HOST, MYSQL_USER, MYSQL_PASSWORD and MYSQL_DB): the server of the accounts',
  mail: 'MAIL_URL (or GMAIL_ADDRESS and GMAIL_PASSWORD, or SMTP_HOST): the mail server',
};

/** Why a port has no adapter, with the way out. */
export function missingPort(name: PortName): string {
  return `Not set: ${MISSING[name] ?? name}.`;
}

const STORES = ['conversions', 'videos', 'mp3s', 'broker'] as const;

const NEEDS: Readonly<Record<RoleName, readonly PortName[]>> = {
  auth: ['users'],
  gateway: STORES,
  converter: STORES,
  notification: ['conversions', 'mp3s', 'broker', 'mail'],
};

/** The ports that `roles` use. */
export function portsOf(config: Config, roles: ReadonlySet<RoleName>): readonly PortName[] {
  const ports = new Set([...roles].flatMap((role) => NEEDS[role]));
  if (roles.has('gateway')) ports.add(hasOwnAuth(config, roles) ? 'users' : 'auth');
  return [...ports];
}

/** True where the gateway asks the auth service of its own process, which `roles` may name or not. */
export function hasOwnAuth(config: Config, roles: ReadonlySet<RoleName>): boolean {
  return roles.has('auth') || (roles.has('gateway') && portUrls(config).auth === undefined);
}

/** Throws `config.invalid` with one line for each setting that `roles` need and nobody has set. */
export function checkRequirements(config: Config, roles: ReadonlySet<RoleName>): void {
  const urls = portUrls(config);
  const missing: string[] = [];
  if (hasOwnAuth(config, roles)) {
    if (urls.users === undefined) missing.push(missingPort('users'));
    // One secret for all who sign and check: no process may make up its own.
    if (config.jwtSecret === undefined && (urls.users === undefined || !isLocal(urls.users))) {
      missing.push('Not set: JWT_SECRET: signs the tokens, the same wherever they are made or checked.');
    }
  }
  if (roles.has('notification') && urls.mail === undefined) missing.push(missingPort('mail'));
  if (missing.length > 0) throw new AudiowaveError('config.invalid', missing.join('\n'));
}
