/** What stands behind an error code: may the same call succeed later, and what the code tells its reader. */
export interface ErrorMeaning {
  /** True where the same call may succeed later without anybody changing it. */
  readonly retryable: boolean;
  /** What happened, for `docs/errors.md`. */
  readonly meaning: string;
  /** What the reader can do about it, for `docs/errors.md`. */
  readonly remedy: string;
}

function final(meaning: string, remedy: string): ErrorMeaning {
  return { retryable: false, meaning, remedy };
}

function passing(meaning: string, remedy: string): ErrorMeaning {
  return { retryable: true, meaning, remedy };
}

/**
 * Every error code of Audiowave. Codes are stable: clients and scripts may compare them. `docs/errors.md` is kept
 * equal to this table by a test; the HTTP status of each code is decided in the gateway's and auth's edge only.
 */
export const ERRORS = {
  'request.malformed': final(
    'The request is not of the form the route takes.',
    'Correct the field that the message names.',
  ),
  'request.not-found': final('There is nothing at this path.', 'Look at docs/api.md for the paths.'),
  'request.method-not-allowed': final(
    'The path exists, but not with this method.',
    'Use a method of the Allow header.',
  ),
  'request.too-large': final('The body is larger than this route takes.', 'Send a smaller body.'),

  'auth.missing-credentials': final('The request carries no credentials.', 'Send an Authorization header.'),
  'auth.invalid-credentials': final(
    'Unknown e-mail address or wrong password.',
    'Check both, or have the password reset.',
  ),
  'auth.invalid-token': final(
    'The token is malformed, expired or signed with another secret.',
    'Log in again.',
  ),
  'auth.forbidden': final('The token is good but does not allow this.', 'Ask an administrator.'),
  'auth.too-many-attempts': passing(
    'Too many failed logins for this account or address.',
    'Wait as long as Retry-After says.',
  ),
  'auth.busy': passing('Too many logins are being checked at the moment.', 'Try again in a few seconds.'),
  'auth.registration-closed': final(
    'This installation does not let people make accounts themselves.',
    'Ask an administrator for an account, or set REGISTRATION=open.',
  ),

  'user.exists': final(
    'There is an account of this e-mail address already.',
    'Log in, or use another address.',
  ),
  'user.unknown': final('There is no account of this e-mail address.', 'Look at `audiowave user list`.'),
  'user.invalid-email': final('This is not an e-mail address.', 'Use the form name@example.com.'),
  'user.weak-password': final('The password is too short or too long.', 'Use 6 to 256 characters.'),

  'upload.not-one-file': final(
    'The upload does not carry exactly one file.',
    'Send one multipart file part, under any field name.',
  ),
  'upload.malformed': final('The multipart body is broken or cut off.', 'Send the file again.'),
  'upload.too-large': final(
    'The file is larger than MAX_UPLOAD.',
    'Send a smaller file, or raise MAX_UPLOAD.',
  ),
  'upload.interrupted': passing(
    'The upload broke off before its end; nothing was kept.',
    'Send the file again.',
  ),
  'upload.stalled': passing(
    'No byte of the upload came for too long; nothing was kept.',
    'Send the file again over a better line.',
  ),

  'import.url-required': final(
    'The request names no URL to fetch the video from.',
    'Send {"url": "https://…"}.',
  ),
  'import.url-not-allowed': final(
    'Audiowave does not fetch from this URL.',
    'Use a public http or https address, or name the host in IMPORT_ALLOW.',
  ),
  'import.failed': passing(
    'The server behind the URL did not deliver the video.',
    'Check that the URL opens in a browser, then try again.',
  ),
  'import.too-large': final(
    'The video behind the URL is larger than MAX_UPLOAD.',
    'Use a smaller file, or raise MAX_UPLOAD.',
  ),
  'import.timed-out': passing(
    'The server behind the URL was too slow.',
    'Try again later, or upload the file.',
  ),

  'file.unknown': final('There is no file of this id.', 'Check the id, or upload the file again.'),
  'file.exists': final('There is a file of this id already.', 'Use a new id for each file.'),
  'file.abandoned': final('The file was given up before it was whole.', 'Upload it again.'),
  'file.range-not-satisfiable': final(
    'The file ends before the asked range begins.',
    'Ask for a range within the file.',
  ),
  'store.full': passing(
    'The disk is almost full; nothing was kept.',
    'Free disk space or lower MIN_FREE_DISK.',
  ),
  'store.unavailable': passing(
    'The file store or the database does not answer.',
    'Look at /readyz and the log.',
  ),

  'conversion.unknown': final('You have no conversion of this id.', 'Look at GET /api/v1/conversions.'),
  'conversion.exists': final(
    'There is a conversion of this id already.',
    'Use a new id for each conversion.',
  ),
  'conversion.illegal-move': final(
    'The conversion is not in a state from which this is possible.',
    'Look at its state first.',
  ),
  'conversion.not-ready': final(
    'The MP3 is not ready, or was removed.',
    'Look at the state of the conversion.',
  ),
  'conversion.abandoned': final(
    'The conversion was tried several times and never ended.',
    'Look at the log of the converter, then upload again.',
  ),

  'broker.unavailable': passing('The message broker does not answer.', 'Look at /readyz and the log.'),
  'broker.malformed-message': final(
    'A message is not of the form its queue carries.',
    'Look at the dead letters.',
  ),

  'mail.malformed': final(
    'The mail has an address or a header that no mail may have.',
    'Correct the e-mail address of the account.',
  ),
  'mail.refused': final(
    'The mail server refused the mail for good.',
    'Check the address and the mail server.',
  ),
  'mail.unavailable': passing(
    'The mail server does not take the mail at the moment.',
    'Nothing to do: it is tried again.',
  ),

  'audio.empty': final('The file is empty.', 'Check the file, then upload it again.'),
  'audio.not-media': final(
    'The file is not a video or audio file that we can read.',
    'Upload a video such as MP4, MKV, WebM, MOV or AVI.',
  ),
  'audio.no-sound': final('The file has no sound.', 'Upload a video that has a sound track.'),
  'audio.damaged': final(
    'The sound cannot be decoded; the file is damaged.',
    'Check that it plays, then upload it again.',
  ),
  'audio.unsupported-option': final(
    'MP3 cannot be made with this option.',
    'Use a bit rate of 8k to 320k or a VBR quality of 0 to 9.',
  ),
  'audio.too-long': final(
    'The conversion took longer or grew larger than this installation allows.',
    'Split the file, or raise CONVERSION_TIMEOUT or MAX_MP3.',
  ),
  'audio.encoder-missing': final(
    'No encoder program was found.',
    'Install ffmpeg, or run npm ci without --omit=optional; see `audiowave doctor`.',
  ),
  'audio.encoder-failed': passing('The encoder program broke off.', 'Upload the file again.'),
  'audio.cancelled': final('The conversion was cancelled.', 'Upload the file again if it was a mistake.'),

  'config.invalid': final(
    'A setting has a value that it cannot have.',
    'Correct the setting that the message names.',
  ),
  'host.port-taken': final(
    'Another program listens on the port.',
    'Stop it, or choose another port with AUDIOWAVE_PORT.',
  ),
  'internal.error': passing(
    'Something went wrong inside Audiowave.',
    'Try again; the log says more under the request id.',
  ),
} as const satisfies Record<string, ErrorMeaning>;

/** A stable error code: `area.what-failed`. */
export type ErrorCode = keyof typeof ERRORS;

/**
 * The one error class that crosses a port. `message` is a sentence a person understands, and never holds a secret
 * or a path of the server; `detail` is for the log only.
 */
export class AudiowaveError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  /** Seconds after which a retry makes sense, where that is known. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message: string = ERRORS[code].meaning,
    options: { cause?: unknown; detail?: string; retryAfterSeconds?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AudiowaveError';
    this.code = code;
    this.detail = options.detail;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** Whether the same call may succeed later (see {@link ERRORS}). */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** `error` as an AudiowaveError; anything foreign becomes `fallback` with the foreign error as its cause. */
export function asAudiowaveError(error: unknown, fallback: ErrorCode = 'internal.error'): AudiowaveError {
  if (error instanceof AudiowaveError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new AudiowaveError(fallback, ERRORS[fallback].meaning, { cause: error, detail });
}

/** True where `error` is an AudiowaveError of one of `codes`. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is AudiowaveError {
  return error instanceof AudiowaveError && codes.includes(error.code);
}

/** True where a store, the broker, the mail server or the encoder program is away: worth another try that costs no attempt. */
export function isAway(error: unknown): boolean {
  return hasCode(
    error,
    'store.unavailable',
    'store.full',
    'broker.unavailable',
    'mail.unavailable',
    'audio.encoder-missing',
  );
}
