import { isLeased, type Conversion, type Lease } from './conversion.ts';

/** The holder of a fetch that was handed back: nobody died over it. */
const HANDED_BACK = '';

/** True where the holder of a fetch died, or was not heard of any more; false where it was handed back. */
export function wasBrokenOff({ lease }: Conversion): boolean {
  return lease?.holder !== HANDED_BACK;
}

/**
 * A gateway goes on with a fetch that another one left, from its beginning: `fetching` stays. Counted in `attempts`
 * where the former holder died. Undefined where somebody is at it, or nobody has it any more.
 */
export function resumeFetch(c: Conversion, lease: Lease, now: number): Conversion | undefined {
  if (c.state !== 'fetching' || isLeased(c, now)) return undefined;
  return { ...c, lease, attempts: c.attempts + (wasBrokenOff(c) ? 1 : 0), updatedAt: now };
}

/**
 * The holder can't go on, for a reason that is not the video's (a stop, a store that is away): whoever comes after
 * `restMs` may, uncounted. Undefined where it is another's, or has ended.
 */
export function handBackFetch(
  c: Conversion,
  holder: string,
  restMs: number,
  now: number,
): Conversion | undefined {
  if (c.state !== 'fetching' || c.lease?.holder !== holder) return undefined;
  return { ...c, lease: { holder: HANDED_BACK, until: now + restMs }, updatedAt: now };
}
