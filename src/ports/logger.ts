type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** The part of a structured log that roles use. Fields never hold a secret: no password, token, or signed link. */
export interface Logger {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}
