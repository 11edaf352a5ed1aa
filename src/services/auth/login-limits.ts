import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { AudiowaveError } from '../../domain/errors.ts';
import { emailKey } from '../../domain/user.ts';

/** How many attempts a window allows. */
export interface LoginLimits {
  readonly windowMs: number;
  /** Failed logins for one account from one address. */
  readonly failuresPerAccountAndAddress: number;
  /** Failed logins from one address, for whichever accounts. */
  readonly failuresPerAddress: number;
  /** Accounts made from one address. */
  readonly registrationsPerAddress: number;
}

export const DEFAULT_LOGIN_LIMITS: LoginLimits = {
  windowMs: 15 * 60_000,
  failuresPerAccountAndAddress: 10,
  failuresPerAddress: 100,
  registrationsPerAddress: 100,
};

/** One try at a login, counted only when it fails. */
export interface LoginAttempt {
  /** `auth.too-many-attempts` where the failures so far are too many. */
  check(): Promise<void>;
  failed(): Promise<void>;
  succeeded(): Promise<void>;
}

/**
 * Counts failed logins in this process's memory. An account is never locked for everybody: failures count for the
 * pair of account and address, so that nobody can lock somebody else out.
 */
export class LoginThrottle {
  readonly #pairs: RateLimiterMemory;
  readonly #addresses: RateLimiterMemory;
  readonly #registrations: RateLimiterMemory;

  constructor(limits: LoginLimits) {
    const limiter = (points: number): RateLimiterMemory =>
      new RateLimiterMemory({ points, duration: limits.windowMs / 1000 });
    this.#pairs = limiter(limits.failuresPerAccountAndAddress);
    this.#addresses = limiter(limits.failuresPerAddress);
    this.#registrations = limiter(limits.registrationsPerAddress);
  }

  attempt(email: string, clientAddress: string): LoginAttempt {
    const address = addressKey(clientAddress);
    const pair = createHash('sha256')
      .update(`${address} ${emailKey(email)}`)
      .digest('base64url');
    return {
      check: async () => {
        await refuseWhereUsedUp(this.#addresses, address);
        await refuseWhereUsedUp(this.#pairs, pair);
      },
      failed: async () => {
        await this.#addresses.penalty(address);
        await this.#pairs.penalty(pair);
      },
      // The address keeps its count: else one good account of their own would let attackers guess for ever.
      succeeded: async () => {
        await this.#pairs.delete(pair);
      },
    };
  }

  /** Counts one registration; `auth.too-many-attempts` where the address has made too many. */
  async countRegistration(clientAddress: string): Promise<void> {
    const address = addressKey(clientAddress);
    await refuseWhereUsedUp(this.#registrations, address);
    await this.#registrations.penalty(address);
  }

  /** Forgets everything and clears the timers. */
  async close(): Promise<void> {
    for (const limiter of [this.#pairs, this.#addresses, this.#registrations]) {
      await Promise.all(limiter.dump().storage.map((entry) => limiter.delete(entry.key)));
    }
  }
}

async function refuseWhereUsedUp(limiter: RateLimiterMemory, key: string): Promise<void> {
  const used = await limiter.get(key);
  if (used === null || used.consumedPoints < limiter.points || used.msBeforeNext <= 0) return;
  throw new AudiowaveError('auth.too-many-attempts', undefined, {
    retryAfterSeconds: Math.max(1, Math.ceil(used.msBeforeNext / 1000)),
  });
}

/** What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has to himself. */
function addressKey(clientAddress: string): string {
  if (!ipaddr.isValid(clientAddress)) return clientAddress;
  const address = ipaddr.process(clientAddress);
  return address.kind() === 'ipv4' ? address.toString() : address.toByteArray().slice(0, 8).join('.');
}
