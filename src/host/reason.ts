import { AudiowaveError } from '../domain/errors.ts';

/** What is wrong, on one line, and what the adapter knows of it: the server, and its answer. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const detail = error instanceof AudiowaveError ? error.detail : undefined;
  const isNew = detail !== undefined && !error.message.includes(detail);
  return (isNew ? `${error.message} (${detail})` : error.message).replaceAll(/\s+/g, ' ');
}
