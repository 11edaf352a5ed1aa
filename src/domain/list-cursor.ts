import { AudiowaveError } from './errors.ts';
import { isFileId, type FileId } from './ids.ts';

/** A place in a list that is ordered by time of creation and, within a millisecond, by id: the last record that was seen. */
export interface ListPlace {
  readonly createdAt: number;
  readonly id: FileId;
}

/** `place` as the opaque cursor of a list: base64url of a JSON pair. */
export function encodeCursor({ createdAt, id }: ListPlace): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
}

/** The place that `cursor` names; throws `request.malformed` for anything that encodeCursor() did not make. */
export function decodeCursor(cursor: string): ListPlace {
  const [createdAt, id] = pairOf(cursor);
  if (typeof createdAt === 'number' && isFileId(id)) {
    const place = { createdAt, id };
    // Only the one canonical spelling: Buffer leaves out what is not base64url, and JSON has many forms.
    if (encodeCursor(place) === cursor) return place;
  }
  throw new AudiowaveError('request.malformed', 'cursor is not one that this list gave.');
}

function pairOf(cursor: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
