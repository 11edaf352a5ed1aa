import type { ReceivedMail } from '../../tests/support/servers/smtp-process.ts';
import { inputOf, type Input } from './inputs.ts';
import type { Mp3s } from './mp3s.ts';
import { isSettled, type SeenRecord } from './records.ts';
import type { Bucket } from './stores.ts';
import type { Accepted, Owner } from './traffic.ts';

/** Everything that can be seen when all has settled. */
export interface Evidence {
  readonly accepted: readonly Accepted[];
  readonly inputs: readonly Input[];
  readonly owners: readonly Owner[];
  readonly records: readonly SeenRecord[];
  readonly videos: Bucket;
  readonly mp3s: Bucket;
  /** Ids of all records, those that no owner sees included. */
  readonly recordIds: readonly string[];
  readonly mails: readonly ReceivedMail[];
  /** `video_fid` of each dead letter. */
  readonly deadLetters: readonly string[];
}

/** What is wrong, as lines to read, by the four numbers that must be 0. */
export interface Findings {
  readonly lost: string[];
  readonly doubled: string[];
  readonly stuck: string[];
  readonly orphans: string[];
  readonly ready: number;
  readonly failed: number;
  /** Mails beyond one for each conversion. */
  readonly extraMails: number;
}

const DECODED_AT_ONCE = 4;

/** Holds what was promised against what is there. */
export async function audit(evidence: Evidence, mp3s: Pick<Mp3s, 'complaint'>): Promise<Findings> {
  const { accepted, records } = evidence;
  const byId = new Map(records.map((record) => [record.id, record]));
  const ids = new Set(accepted.map(({ id }) => id));
  const seen = [...ids].map((id) => byId.get(id)).filter((record) => record !== undefined);
  const lost = [...ids].filter((id) => !byId.has(id)).map((id) => `${id} was accepted and has no record`);
  lost.push(...(await lostRecords(evidence, mp3s)));
  const mails = mailsOf(evidence);
  lost.push(...mails.missing);
  return {
    lost,
    doubled: [...doubledMp3s(evidence), ...mails.doubled],
    stuck: [...records.filter((record) => !isSettled(record)).map(describe), ...deadLetters(evidence)],
    orphans: findOrphans(evidence),
    ready: seen.filter(({ state }) => state === 'ready').length,
    failed: seen.filter(({ state }) => state === 'failed').length,
    extraMails: mails.extra,
  };
}

function describe({ id, name, state, mail, attempts, failure }: SeenRecord): string {
  const why = failure === null ? '' : ` ${failure.code}: ${failure.message}`;
  return `${id} ${name ?? '?'} ${state}, mail ${mail}, attempts ${String(attempts)}${why}`;
}

/** The ones that ended otherwise than their video deserves, be it that their upload was answered or not. */
async function lostRecords(
  { records, inputs, owners }: Evidence,
  mp3s: Pick<Mp3s, 'complaint'>,
): Promise<string[]> {
  const tokens = new Map(owners.map(({ email, token }) => [email, token]));
  const lost: string[] = [];
  const left = records.filter(isSettled);
  const line = async (): Promise<void> => {
    for (let record = left.pop(); record !== undefined; record = left.pop()) {
      const input = inputOf(inputs, record.name);
      const wrong =
        verdictOn(record, input) ??
        (record.state === 'ready'
          ? await mp3s.complaint(record.mp3Fid ?? '', tokens.get(record.owner) ?? '', input?.durationMs)
          : undefined);
      if (wrong !== undefined) lost.push(`${describe(record)}: ${wrong}`);
    }
  };
  await Promise.all(Array.from({ length: DECODED_AT_ONCE }, line));
  return lost;
}

function verdictOn(record: SeenRecord, input: Input | undefined): string | undefined {
  if (input === undefined) return 'nobody knows what was sent';
  const wanted = input.failure === undefined ? 'ready' : `failed ${input.failure}`;
  const found = record.failure === null ? record.state : `failed ${record.failure.code}`;
  return found === wanted ? undefined : `it should be ${wanted}`;
}

function mailsOf({ records, mails }: Evidence): { missing: string[]; doubled: string[]; extra: number } {
  const missing: string[] = [];
  const doubled: string[] = [];
  let extra = 0;
  for (const record of records.filter(isSettled)) {
    if (record.state === 'cancelled') continue;
    const own = mails.filter(({ messageId }) => messageId.includes(record.id));
    if (!own.some(({ to, text }) => to === record.owner && text.includes(record.mp3Fid ?? record.id))) {
      missing.push(`${describe(record)}: its owner has no mail`);
    }
    const named = new Set(own.map(({ text }) => /^File ID: (\S+)$/m.exec(text)?.[1]));
    if (named.size > 1) doubled.push(`${describe(record)}: mails name ${[...named].join(' and ')}`);
    extra += Math.max(0, own.length - 1);
  }
  return { missing, doubled, extra };
}

/** MP3s beyond one for each conversion that is ready. */
function doubledMp3s({ records, mp3s }: Evidence): string[] {
  const named = records.flatMap(({ mp3Fid }) => mp3Fid ?? []);
  const twice = named
    .filter((fid, at) => named.indexOf(fid) !== at)
    .map((fid) => `${fid} stands in two records`);
  const known = new Set(named);
  const surplus = [...mp3s.files].filter((fid) => !known.has(fid)).map((fid) => `MP3 ${fid} beyond one each`);
  return [...twice, ...surplus];
}

/** Files without a record, records without their file or owner, and parts of files. */
export function findOrphans({
  records,
  videos,
  mp3s,
  recordIds,
}: Pick<Evidence, 'records' | 'videos' | 'mp3s' | 'recordIds'>): string[] {
  const seen = new Set(records.map(({ id }) => id));
  const whole = new Set(records.filter(({ videoBytes }) => videoBytes !== null).map(({ id }) => id));
  const made = new Set(records.flatMap(({ mp3Fid }) => mp3Fid ?? []));
  return [
    ...videos.debris,
    ...mp3s.debris,
    ...recordIds.filter((id) => !seen.has(id)).map((id) => `record ${id} that no owner sees`),
    ...[...videos.files].filter((id) => !whole.has(id)).map((id) => `video ${id} without a record`),
    ...[...whole].filter((id) => !videos.files.has(id)).map((id) => `record ${id} without its video`),
    ...[...mp3s.files].filter((id) => !made.has(id)).map((id) => `MP3 ${id} without a record`),
    ...[...made].filter((id) => !mp3s.files.has(id)).map((id) => `MP3 ${id} is named and not there`),
  ];
}

function deadLetters({ deadLetters: letters, records, inputs }: Evidence): string[] {
  const names = new Map(records.map(({ id, name }) => [id, name]));
  return letters
    .filter((id) => inputOf(inputs, names.get(id) ?? null)?.failure === undefined)
    .map((id) => `a dead letter of ${id}`);
}
