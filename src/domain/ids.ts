import { randomBytes, randomInt } from 'node:crypto';

/**
 * Names one stored file. Opaque; on the wire 24 lower-case hex digits, so that every store can use a MongoDB
 * ObjectId (drop-in contract, "MongoDB") and a client of the family can pass it on as `fid`.
 */
export type FileId = string & { readonly __brand: 'FileId' };

const FILE_ID = /^[0-9a-f]{24}$/;

/** True for 24 lower-case hex digits. */
export function isFileId(value: unknown): value is FileId {
  return typeof value === 'string' && FILE_ID.test(value);
}

/** Throws a TypeError where `value` is no FileId: a store's last defence against an id that names a path or a query. */
export function assertFileId(value: unknown): asserts value is FileId {
  if (!isFileId(value)) throw new TypeError('A FileId is 24 lower-case hex digits.');
}

/** The FileId in `value`, in any letter case, or undefined where there is none. */
export function parseFileId(value: unknown): FileId | undefined {
  const lower = typeof value === 'string' ? value.toLowerCase() : undefined;
  return isFileId(lower) ? lower : undefined;
}

const machine = randomBytes(5).toString('hex');
let counter = randomInt(0x1000000);

/**
 * A new FileId, made before the write so that messages and records can name the file. Ascending in time to the
 * second: 4 bytes of seconds, 5 random bytes of this process, 3 bytes of counter (BSON specification, ObjectId).
 */
export function mintFileId(nowMs: number = Date.now()): FileId {
  counter = (counter + 1) % 0x1000000;
  const seconds = Math.floor(nowMs / 1000)
    .toString(16)
    .padStart(8, '0')
    .slice(-8);
  return (seconds + machine + counter.toString(16).padStart(6, '0')) as FileId;
}
