import { MongoError, MongoNetworkError, MongoServerError, MongoServerSelectionError } from 'mongodb';
import { AudiowaveError } from '../../domain/errors.ts';

/**
 * What a failure of the driver says of the server. `away`: it does not answer, or is not the primary any more, and the
 * same call may do in a moment; `refused`: it does not take our credentials; `full`: its disk is; `other`: it
 * answered with an error that trying again at once will not mend.
 */
export type MongoTrouble = 'away' | 'refused' | 'full' | 'other';

/** Unauthorized, UserNotFound, AuthenticationFailed, AtlasError (error_codes.yml of the server; Atlas). */
const REFUSED = new Set([13, 11, 18, 8000]);

/** OutOfDiskSpace. */
const FULL = 14031;

/** How a server, Atlas too, says it where the code does not. */
const FULL_WORDS = /no space left|out of disk|over your space quota|disk.{0,20} full/i;

/**
 * HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
 * SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk,
 * NotPrimaryOrSecondary (Retryable Writes specification, "RetryableError"), and the write concerns that were not
 * reached in time: WriteConcernFailed (which WriteConcernTimeout is too), UnsatisfiableWriteConcern.
 */
const AWAY = new Set([6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 64, 100]);

/** A call has taken longer than it may. */
export class DeadlinePassed extends Error {
  constructor(ms: number) {
    super(`no answer within ${String(Math.round(ms))} ms`);
    this.name = 'DeadlinePassed';
  }
}

/** True for a write that a unique index refused: DuplicateKey. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === 11000;
}

/** What went wrong, or undefined where `error` is neither the driver's nor the system's. */
export function troubleOf(error: unknown): MongoTrouble | undefined {
  if (error instanceof DeadlinePassed) return 'away';
  if (error instanceof MongoServerError) return serverTrouble(error);
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError) {
    const cause = causeOf(error);
    return (cause === undefined ? undefined : troubleOf(cause)) ?? 'away';
  }
  if (error instanceof MongoError) return 'other';
  return isSystemError(error) ? 'away' : undefined;
}

function serverTrouble(error: MongoServerError): MongoTrouble {
  const { code, message } = error;
  if (code === FULL || FULL_WORDS.test(message)) return 'full';
  if (REFUSED.has(Number(code))) return 'refused';
  const passing = error.hasErrorLabel('RetryableWriteError') || error.hasErrorLabel('RetryableError');
  return passing || AWAY.has(Number(code)) ? 'away' : 'other';
}

const SYSTEM_CODE = /^(?:E[A-Z0-9]+|ERR_(?:SOCKET|STREAM|TLS|SSL)_\w+)$/;

/** Of the system and not wrapped by the driver: a host name in DNS, a certificate file, a write after the server's end. */
function isSystemError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    SYSTEM_CODE.test(error.code)
  );
}

/** The error that stands behind one of the network, where there is one. */
function causeOf(error: MongoServerSelectionError | MongoNetworkError): Error | undefined {
  if (error.cause instanceof MongoError) return error.cause;
  if (!(error instanceof MongoServerSelectionError)) return undefined;
  const servers = error.reason?.servers.values() ?? [];
  return [...servers].map((server) => server.error).find((found) => found !== null);
}

/**
 * An error of the driver as the port's: `store.full` or `store.unavailable`, with the server, its reason and no secret
 * on the one line of `detail`. What is neither the driver's nor the system's stays what it is.
 */
export function storeError(error: unknown, place: MongoPlace): unknown {
  const trouble = troubleOf(error);
  if (trouble === undefined) return error;
  const detail = `${reasonOf(error, trouble, place)} at ${place.shown}`;
  return new AudiowaveError(trouble === 'full' ? 'store.full' : 'store.unavailable', undefined, {
    cause: error,
    detail,
  });
}

/** Where a server stands, for people, and what may never be told of it. */
export interface MongoPlace {
  /** Without user, password and options: `mongodb://host:27017/audiowave`. */
  readonly shown: string;
  readonly user: string | undefined;
  /** In each spelling. */
  readonly secrets: readonly string[];
}

function reasonOf(error: unknown, trouble: MongoTrouble, place: MongoPlace): string {
  const words = withoutSecrets(wordsOf(error), place);
  if (trouble !== 'refused') return words;
  return `Access denied${place.user === undefined ? ' without credentials' : ` for user '${place.user}'`} (${words})`;
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const behind =
    error instanceof MongoServerSelectionError || error instanceof MongoNetworkError
      ? causeOf(error)
      : undefined;
  const text = behind === undefined ? error.message : behind.message;
  const code = error instanceof MongoServerError ? ` (code ${String(error.code)})` : '';
  return text.replaceAll(/\s+/g, ' ').trim() + code;
}

/** `text` without the secrets of `place`. */
export function withoutSecrets(text: string, place: Pick<MongoPlace, 'secrets'>): string {
  return place.secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
}
