/**
 * A record is one JSON document; the columns beside it are what records are found by, written together with it. The
 * indexes are partial: a sweep touches only the records that have something to sweep.
 */
export const MIGRATIONS = [
  `CREATE TABLE conversion (
     id TEXT PRIMARY KEY,
     version INTEGER NOT NULL,
     document TEXT NOT NULL,
     owner_key TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     mp3_fid TEXT,
     lease_until INTEGER,
     unpublished_since INTEGER,
     video_kept_since INTEGER,
     mp3_kept_since INTEGER
   );
   CREATE INDEX conversion_of_owner ON conversion (owner_key, created_at, id);
   CREATE INDEX conversion_mp3 ON conversion (mp3_fid) WHERE mp3_fid IS NOT NULL;
   CREATE INDEX conversion_lease ON conversion (lease_until, id) WHERE lease_until IS NOT NULL;
   CREATE INDEX conversion_unpublished ON conversion (unpublished_since, id) WHERE unpublished_since IS NOT NULL;
   CREATE INDEX conversion_video_kept ON conversion (video_kept_since, id) WHERE video_kept_since IS NOT NULL;
   CREATE INDEX conversion_mp3_kept ON conversion (mp3_kept_since, id) WHERE mp3_kept_since IS NOT NULL;
   CREATE TABLE conversion_link (
     token_hash TEXT NOT NULL,
     conversion_id TEXT NOT NULL REFERENCES conversion (id) ON DELETE CASCADE,
     PRIMARY KEY (token_hash, conversion_id)
   ) WITHOUT ROWID;
   CREATE INDEX conversion_link_of ON conversion_link (conversion_id);`,
  `ALTER TABLE conversion ADD COLUMN drafts_named_since INTEGER;
   CREATE INDEX conversion_drafts ON conversion (drafts_named_since, id) WHERE drafts_named_since IS NOT NULL;
   UPDATE conversion SET document = json_set(
     json_remove(document, '$.draftMp3Fid'),
     '$.mailLease', NULL,
     '$.drafts', CASE WHEN json_extract(document, '$.draftMp3Fid') IS NULL THEN json_array()
                      ELSE json_array(json_extract(document, '$.draftMp3Fid')) END);
   UPDATE conversion SET drafts_named_since = json_extract(document, '$.endedAt')
     WHERE json_array_length(document, '$.drafts') > 0;`,
  `ALTER TABLE conversion ADD COLUMN queued_since INTEGER;
   ALTER TABLE conversion ADD COLUMN mail_due_since INTEGER;
   CREATE INDEX conversion_queued ON conversion (queued_since, id) WHERE queued_since IS NOT NULL;
   CREATE INDEX conversion_mail_due ON conversion (mail_due_since, id) WHERE mail_due_since IS NOT NULL;
   UPDATE conversion SET queued_since = json_extract(document, '$.updatedAt')
     WHERE unpublished_since IS NULL AND json_extract(document, '$.state') = 'queued';
   UPDATE conversion SET mail_due_since = json_extract(document, '$.updatedAt')
     WHERE unpublished_since IS NULL AND json_extract(document, '$.mail') = 'due'
       AND json_extract(document, '$.state') IN ('ready', 'failed');`,
] as const;

function dueBy(column: string): string {
  return `SELECT document FROM conversion WHERE ${column} < ? ORDER BY ${column}, id LIMIT ?`;
}

/** Every statement of the conversion-store. */
export const SQL = {
  insert: `INSERT INTO conversion (id, version, document, owner_key, created_at, mp3_fid, lease_until,
             unpublished_since, video_kept_since, mp3_kept_since, drafts_named_since, queued_since, mail_due_since)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (id) DO NOTHING`,
  update: `UPDATE conversion SET version = ?, document = ?, owner_key = ?, created_at = ?, mp3_fid = ?,
             lease_until = ?, unpublished_since = ?, video_kept_since = ?, mp3_kept_since = ?,
             drafts_named_since = ?, queued_since = ?, mail_due_since = ? WHERE id = ?`,
  remove: 'DELETE FROM conversion WHERE id = ?',
  insertLink: 'INSERT OR IGNORE INTO conversion_link (token_hash, conversion_id) VALUES (?, ?)',
  removeLinks: 'DELETE FROM conversion_link WHERE conversion_id = ?',
  find: 'SELECT document FROM conversion WHERE id = ?',
  findOwned: 'SELECT document FROM conversion WHERE id = ? AND owner_key = ?',
  findByMp3: 'SELECT document FROM conversion WHERE mp3_fid = ? LIMIT 1',
  findByLink: `SELECT document FROM conversion_link JOIN conversion ON id = conversion_id
               WHERE token_hash = ? LIMIT 1`,
  firstPage: `SELECT document FROM conversion WHERE owner_key = ?
              ORDER BY created_at DESC, id DESC LIMIT ?`,
  pageAfter: `SELECT document FROM conversion WHERE owner_key = ? AND (created_at, id) < (?, ?)
              ORDER BY created_at DESC, id DESC LIMIT ?`,
  unpublished: dueBy('unpublished_since'),
  leaseExpired: dueBy('lease_until'),
  videoKept: dueBy('video_kept_since'),
  mp3Kept: dueBy('mp3_kept_since'),
  draftsNamed: dueBy('drafts_named_since'),
  queued: dueBy('queued_since'),
  mailDue: dueBy('mail_due_since'),
  check: 'SELECT 1 FROM conversion LIMIT 1',
} as const;
