import { createHash, timingSafeEqual } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { HashQueue } from './hash-queue.ts';

/** The two functions of argon2 that are used; tests count their calls. */
export interface Argon2 {
  /** A PHC string of argon2id with the library's default cost. */
  readonly hash: (password: string) => Promise<string>;
  /** Throws where `phc` is no PHC string. */
  readonly verify: (phc: string, password: string) => Promise<boolean>;
}

export interface PasswordsOptions {
  /** Hashes at a time; 2 by default. */
  readonly concurrency?: number;
  /** Hashes that wait for their turn; 100 by default. Above it calls fail with `auth.busy`. */
  readonly maxWaiting?: number;
  readonly argon2?: Argon2;
}

export interface VerifyOptions {
  readonly signal?: AbortSignal;
  /** Runs when the turn has come and before anything is compared; what it throws, verify() throws. */
  readonly beforeHash?: () => Promise<void>;
}

/**
 * A hash of nobody's password, with the default cost. It is verified where there is no hash to verify, so that an
 * unknown address, a plain-text row and a wrong password take the same time.
 */
export const DUMMY_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$gN6FAprLHFiPbkohsfSpfQ$PDxF+9PDQa5/D3RfIo9KpuYA/bzHWxwM2U85mIaKHFA';

// Hashes that other implementations may have written: modular crypt strings (bcrypt and its kin) and Werkzeug's. They
// are compared with nothing: whoever has read the table could log in with the hash itself otherwise.
const FOREIGN_HASH =
  /^(?:\$(?:2[abxy]?|5|6|7|y|scrypt|pbkdf2[\w-]*)\$.{20,}|(?:pbkdf2|scrypt|argon2):[^$]+\$.+\$[0-9a-f]{32,})$/s;

/** True for a row that another implementation wrote without hashing it. */
export function isPlainText(stored: string): boolean {
  return stored !== '' && !stored.startsWith('$argon2') && !FOREIGN_HASH.test(stored);
}

/** Hashes and verifies passwords with argon2id. */
export class Passwords {
  readonly #queue: HashQueue;
  readonly #argon2: Argon2;

  constructor(options: PasswordsOptions = {}) {
    this.#queue = new HashQueue({
      concurrency: options.concurrency ?? 2,
      maxWaiting: options.maxWaiting ?? 100,
    });
    this.#argon2 = options.argon2 ?? { hash: (password) => hash(password), verify };
  }

  /** A PHC string. `auth.busy` where too many hashes wait. */
  async hash(password: string, signal?: AbortSignal): Promise<string> {
    return await this.#queue.run(() => this.#argon2.hash(password), signal);
  }

  /**
   * Whether `password` is the one of a row: of a PHC string, or of the plain text of another implementation. False
   * for an undefined row, at the cost of a real one: every call verifies exactly one hash. `auth.busy` where too many wait.
   */
  async verify(password: string, stored: string | undefined, options: VerifyOptions = {}): Promise<boolean> {
    return await this.#queue.run(async () => {
      await options.beforeHash?.();
      // verify() of plain text throws, so the form is looked at first.
      if (stored?.startsWith('$argon2') === true) return await this.#verifyHash(stored, password);
      const isEqual = stored !== undefined && isPlainText(stored) && equalText(stored, password);
      await this.#argon2.verify(DUMMY_HASH, password);
      return isEqual;
    }, options.signal);
  }

  async #verifyHash(phc: string, password: string): Promise<boolean> {
    try {
      return await this.#argon2.verify(phc, password);
    } catch {
      // A damaged hash, cut off by a short column for example, belongs to no password.
      await this.#argon2.verify(DUMMY_HASH, password);
      return false;
    }
  }
}

/** Compares digests, which have one length, so that the time tells neither length nor common beginning. */
function equalText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(digest(a), digest(b));
}
