import { randomBytes } from 'node:crypto';
import { ObjectId, type CreateIndexesOptions, type IndexDescription } from 'mongodb';
import { sweepKeys, type SweepKeys } from '../../domain/conversion-record.ts';
import type { Conversion } from '../../domain/conversion.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import type { FileId } from '../../domain/ids.ts';
import { emailKey } from '../../domain/user.ts';

/** How a record stands in the collection. Made by {@link documentOf}. */
export interface ConversionDocument extends Omit<Conversion, 'id' | 'messageFields'> {
  readonly _id: ObjectId;
  readonly keys: DocumentKeys;
  /** The ids of the last writes, the newest last: who got no answer finds here whether it was written. */
  readonly writes: readonly string[];
  /** JSON: another implementation's field names may have dots and dollar signs, and its numbers stay what they are. */
  readonly messageFields: string;
}

/** What records are looked for by. A key that does not apply is left out, so that a sparse index leaves the record out. */
interface DocumentKeys extends Partial<Record<keyof SweepKeys, number>> {
  readonly owner: string;
  readonly mp3?: FileId;
  readonly links?: readonly string[];
}

/** One index for each way in which records are looked for. */
export const INDEXES: readonly (IndexDescription & CreateIndexesOptions)[] = [
  { key: { 'keys.owner': 1, createdAt: -1, _id: -1 } },
  ...[
    'mp3',
    'links',
    'leaseUntil',
    'unpublishedSince',
    'videoKeptSince',
    'mp3KeptSince',
    'draftsNamedSince',
    'queuedSince',
    'mailDueSince',
  ].map((name) => ({ key: { [`keys.${name}`]: 1 as const }, sparse: true })),
];

/** A write that is asked about must not be forgotten by the writes after it. */
const WRITES_KEPT = 16;

/** Names one write for {@link ConversionDocument.writes}. */
export function newWriteId(): string {
  return randomBytes(9).toString('base64url');
}

/** `record` as a document whose newest write is `writeId`, after `writes`. */
export function documentOf(
  record: Conversion,
  writeId: string,
  writes: readonly string[] = [],
): ConversionDocument {
  const { id, messageFields, ...fields } = record;
  return {
    _id: new ObjectId(id),
    ...fields,
    messageFields: JSON.stringify(messageFields),
    keys: keysOf(record),
    writes: [...writes, writeId].slice(-WRITES_KEPT),
  };
}

function keysOf(record: Conversion): DocumentKeys {
  const sweep = Object.entries(sweepKeys(record)).filter(([, at]) => at !== null) as [
    keyof SweepKeys,
    number,
  ][];
  return {
    owner: emailKey(record.owner),
    ...(record.mp3Fid === null ? {} : { mp3: record.mp3Fid }),
    ...(record.links.length === 0 ? {} : { links: record.links.map((link) => link.tokenHash) }),
    ...Object.fromEntries(sweep),
  };
}

/** The record of a document. Throws `store.unavailable` where it is not one of ours. */
export function recordOf(document: ConversionDocument): Conversion {
  const { _id, keys: _keys, writes: _writes, messageFields, ...fields } = document;
  try {
    return {
      ...fields,
      id: _id.toHexString() as FileId,
      messageFields: JSON.parse(messageFields) as Conversion['messageFields'],
    };
  } catch (cause) {
    throw new AudiowaveError('store.unavailable', undefined, { cause, detail: 'A record is malformed.' });
  }
}
