import type { IncomingHttpHeaders } from 'node:http';

/** What a client may compare its copy with. */
export interface Validators {
  /** Strong. */
  readonly etag: string;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** The tags of an `If-None-Match` list, without their weakness mark. */
function tagsOf(header: string): string[] {
  return [...header.matchAll(/(?:W\/)?("[^"]*")/g)].map((match) => match[1] ?? '');
}

/** True where the client's copy is still good (RFC 9110, 13.1.2, 13.1.3): If-None-Match, and only without it If-Modified-Since. */
export function isNotModified(headers: IncomingHttpHeaders, validators: Validators): boolean {
  const none = headers['if-none-match'];
  if (none !== undefined) return none.trim() === '*' || tagsOf(none).includes(validators.etag);
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && wholeSeconds(validators.modifiedAt) <= since;
}

/** True where a `Range` may be answered with a part: no If-Range, or one that names this very version (RFC 9110, 13.1.5). */
export function rangeApplies(headers: IncomingHttpHeaders, validators: Validators): boolean {
  const condition = headers['if-range'];
  if (typeof condition !== 'string') return true;
  if (condition.includes('"')) return condition.trim() === validators.etag;
  return Date.parse(condition) === wholeSeconds(validators.modifiedAt);
}
