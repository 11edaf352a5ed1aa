import type { Config } from '../config/config.ts';
import { AudiowaveError, isAway } from '../domain/errors.ts';
import { dataFolderOf } from './profiles.ts';

/** A failed call of the operating system, as Node tells of it. */
interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
  readonly address?: string;
  readonly port?: number;
}

/** Why a process did not start, with the way out where there is one; any other error stays what it is. */
export function explainStart(error: unknown, config: Config): unknown {
  const cause = systemErrorIn(error);
  // A server that is away says itself why.
  if (cause === undefined || (isAway(error) && cause.path === undefined)) return error;
  if (cause.code === 'EADDRINUSE') {
    return new AudiowaveError('host.port-taken', portTaken(cause, config), { cause: error });
  }
  if (['listen', 'bind', 'getaddrinfo'].includes(cause.syscall)) {
    const place = `${config.host}:${String(cause.port ?? config.port)}`;
    const message = `Can't listen on ${place} (${cause.code}); set AUDIOWAVE_HOST and ${portSetting(cause.port, config)} to an address of this machine.`;
    return new AudiowaveError('config.invalid', message, { cause: error });
  }
  if (cause.path !== undefined) {
    const { path, code, message: detail } = cause;
    const folder = dataFolderOf(config);
    const message =
      path.startsWith(folder) || folder.startsWith(path)
        ? `Can't keep data in ${folder} (${code}); set AUDIOWAVE_DATA to a folder you may write to.`
        : `Can't use ${path} (${code}); correct the URL that names it.`;
    return new AudiowaveError('config.invalid', message, { cause: error, detail });
  }
  return error;
}

/** The call of the system behind an error, however often it was wrapped. */
function systemErrorIn(error: unknown): SystemError | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    if ('syscall' in one && 'code' in one) return one as SystemError;
  }
  return undefined;
}

function portTaken({ address, port = 0 }: SystemError, config: Config): string {
  const other = port < 65_535 ? port + 1 : port - 1;
  return `Port ${String(port)} on ${address ?? config.host} is taken by another program. Stop it, or choose another port: ${portSetting(port, config)}=${String(other)} npm start`;
}

/** The setting that names a port. */
function portSetting(port: number | undefined, config: Config): string {
  if (port === config.port) return 'AUDIOWAVE_PORT';
  if (port === config.authPort) return 'AUDIOWAVE_AUTH_PORT';
  return port === config.healthPort ? 'AUDIOWAVE_HEALTH_PORT' : 'AUDIOWAVE_PORT';
}
