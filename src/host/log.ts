import { destination, pino, stdSerializers, type Logger as Pino } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from '../config/config.ts';

// The last guard only: no caller hands a secret to the log in the first place.
const REDACTED = [
  'password',
  'token',
  'authorization',
  'jwtSecret',
  '*.password',
  '*.token',
  '*.authorization',
];

/** The log of the process, on standard error, so that standard output stays for people. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>): Pino {
  const options = {
    level: config.logLevel,
    redact: { paths: REDACTED, censor: '[redacted]' },
    serializers: { err: stdSerializers.errWithCause },
  };
  const isPretty = config.logFormat === 'pretty' || (config.logFormat === 'auto' && process.stderr.isTTY);
  return isPretty
    ? pino(
        options,
        pretty({
          destination: 2,
          singleLine: true,
          sync: true,
          ignore: 'pid,hostname',
          translateTime: 'SYS:HH:MM:ss',
          colorize: process.stderr.isTTY,
        }),
      )
    : pino(options, destination({ fd: 2, sync: true }));
}
