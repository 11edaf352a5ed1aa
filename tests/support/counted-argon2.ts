import { hash, verify } from '@node-rs/argon2';
import type { Argon2 } from '../../src/services/auth/passwords.ts';

/** Argon2 at its lowest cost for new hashes, that counts and can be watched. */
export interface CountedArgon2 extends Argon2 {
  readonly counts: { hashed: number; verified: number; running: number; mostRunning: number };
}

export function countedArgon2(): CountedArgon2 {
  const counts = { hashed: 0, verified: 0, running: 0, mostRunning: 0 };
  const during = async <T>(work: Promise<T>): Promise<T> => {
    counts.running++;
    counts.mostRunning = Math.max(counts.mostRunning, counts.running);
    try {
      return await work;
    } finally {
      counts.running--;
    }
  };
  return {
    counts,
    hash: (password) => {
      counts.hashed++;
      return during(hash(password, { memoryCost: 8, timeCost: 1 }));
    },
    verify: (phc, password) => {
      counts.verified++;
      return during(verify(phc, password));
    },
  };
}
