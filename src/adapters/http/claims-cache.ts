import { createHash } from 'node:crypto';
import type { Claims } from '../../domain/user.ts';

const REMEMBERED_MS = 10_000;
const MAX_TOKENS = 10_000;

/**
 * The claims of tokens that auth has just found good. The gateway asks at every request, and a page or an upload tool
 * asks several times a second with one token. Nothing is lost by not asking each time: a token can't be called back
 * before it expires (docs/adr/006), and it is never remembered beyond that. Only hashes of tokens are kept, so that no
 * dump of the memory's maps holds one, and at most 10,000 of them. Refusals are not remembered.
 */
export class ClaimsCache {
  readonly #now: () => number;
  /** In the order in which they were put in, which is the order in which they end, but for tokens that expire sooner. */
  readonly #entries = new Map<string, { readonly claims: Claims; readonly until: number }>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  get(token: string): Claims | undefined {
    const key = keyOf(token);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.until > this.#now()) return entry.claims;
    this.#entries.delete(key);
    return undefined;
  }

  put(token: string, claims: Claims): void {
    const key = keyOf(token);
    const until = Math.min(this.#now() + REMEMBERED_MS, claims.exp * 1000);
    this.#entries.delete(key);
    this.#entries.set(key, { claims, until });
    if (this.#entries.size <= MAX_TOKENS) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  clear(): void {
    this.#entries.clear();
  }
}

function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
