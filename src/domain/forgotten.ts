import { hasEnded, type Conversion } from './conversion.ts';

/** The owner of a conversion that nobody has any more: no e-mail address compares equal to it. */
export const NOBODY = '';

/** True for a record that only waits for what is left of its files to be removed. */
export function isForgotten({ owner }: Conversion): boolean {
  return owner === NOBODY;
}

/**
 * The conversion is nobody's any more: it is in no list, has no mail, no link and no announcement, and whoever works on
 * it learns so as with a cancellation. The record itself stays for a while, since it is all that knows the names of its
 * files: a process that was slow, or whose last answer got lost, may still make one of them whole. The sweeper then
 * removes them once more, and the record. Undefined where it is forgotten already.
 */
export function forget(c: Conversion, now: number): Conversion | undefined {
  if (isForgotten(c)) return undefined;
  return {
    ...c,
    owner: NOBODY,
    state: hasEnded(c) ? c.state : 'cancelled',
    name: null,
    failure: null,
    lease: null,
    unpublished: [],
    mail: 'none',
    mailLease: null,
    messageFields: {},
    links: [],
    updatedAt: now,
    endedAt: c.endedAt ?? now,
  };
}
