import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { login, readOutbox, register, type ShownConversion } from '../support/client.ts';
import { eventually } from '../support/eventually.ts';
import { media } from '../support/media.ts';
import { Program } from '../support/program.ts';
import { seededRandom } from '../support/random.ts';
import { tempFolder } from '../support/temp.ts';

const KILLS = 50;
// Each kill in the middle of a conversion is an attempt, and fifty are more than a video that kills its converter gets.
const SETTINGS = { LOG_LEVEL: 'warn', MAX_ATTEMPTS: '1000' };
const SEED = Number(process.env.SIGKILL_SEED ?? Date.now() % 1_000_000);

/** What the uploads of one life of the program came to. */
interface Uploads {
  /** Ids that were answered with success. */
  readonly accepted: string[];
  unanswered: number;
}

/** Uploads one after another, each with a slow line, until the program is gone. */
async function uploadUntilDead(
  url: string,
  token: string,
  video: Buffer,
  name: string,
  uploads: Uploads,
  isDead: () => boolean,
): Promise<void> {
  for (let n = 1; !isDead(); n++) {
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array(video)]), `${name}-${String(n)}.mp4`);
    try {
      const answer = await fetch(`${url}/upload`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: form,
      });
      const id = answer.headers.get('x-conversion-id');
      if (answer.status === 200 && id !== null) uploads.accepted.push(id);
      else uploads.unanswered += 1;
    } catch {
      uploads.unanswered += 1;
    }
  }
}

async function allConversions(url: string, token: string): Promise<ShownConversion[]> {
  const found: ShownConversion[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const answer = await fetch(
      `${url}/api/v1/conversions?limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
      {
        headers: { authorization: `Bearer ${token}` },
      },
    );
    assert.equal(answer.status, 200);
    const page = (await answer.json()) as { items: ShownConversion[]; nextCursor: string | null };
    found.push(...page.items);
    cursor = page.nextCursor;
  }
  return found;
}

/** Names of the whole files in a store's folder; what killed writers left lies apart, unseen, until it is swept. */
async function wholeFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !['partial', 'committing'].includes(basename(entry.parentPath)))
    .map((entry) => entry.name);
}

test(
  `${String(KILLS)} SIGKILLs at random moments lose no accepted upload and double none`,
  { timeout: 600_000 },
  async (t) => {
    t.diagnostic(`seed ${String(SEED)} (repeat with SIGKILL_SEED)`);
    const random = seededRandom(SEED);
    const folder = await tempFolder(t);
    const data = join(folder, 'data');
    const video = await readFile((await media('mp4-index-last', { seconds: 20 })).path);
    const uploads: Uploads = { accepted: [], unanswered: 0 };
    let token: string | undefined;

    for (let life = 1; life <= KILLS; life++) {
      const program = await Program.start(data, SETTINGS);
      if (token === undefined) {
        await register(program.url);
        token = await login(program.url);
      }
      let isDead = false;
      const uploading = [1, 2].map((line) =>
        uploadUntilDead(
          program.url,
          token ?? '',
          video,
          `life${String(life)}-line${String(line)}`,
          uploads,
          () => isDead,
        ),
      );
      // Not a synchronisation: the random moment of the crash is what is tested.
      await delay(random() * 1_200);
      isDead = true;
      await program.kill();
      await Promise.all(uploading);
    }

    const program = await Program.start(data, SETTINGS);
    t.after(() => program.stop());
    const bearer = token ?? '';
    const conversions = await eventually(
      'every conversion has ended, its mail has gone, and what was left half-done is swept',
      async () => {
        const all = await allConversions(program.url, bearer);
        const isOpen = all.some(
          ({ state, mail }) => !['ready', 'failed', 'cancelled'].includes(state) || mail === 'due',
        );
        return isOpen ? undefined : all;
      },
      240_000,
    );
    t.diagnostic(
      `accepted ${String(uploads.accepted.length)}, unanswered ${String(uploads.unanswered)}, conversions ${String(conversions.length)}`,
    );

    const byId = new Map(conversions.map((one) => [one.id, one]));
    assert.ok(uploads.accepted.length >= KILLS / 2, 'the test did too little to show anything');
    for (const id of uploads.accepted) {
      assert.equal(byId.get(id)?.state, 'ready', `accepted upload ${id}: ${JSON.stringify(byId.get(id))}`);
    }
    for (const one of conversions) assert.equal(one.state, 'ready', JSON.stringify(one));

    const mp3Fids = conversions.map((one) => one.mp3Fid);
    assert.deepEqual(
      (await wholeFiles(join(data, 'mp3s'))).sort(),
      [...mp3Fids].sort(),
      'exactly one MP3 each, and nothing else',
    );
    assert.deepEqual(
      (await wholeFiles(join(data, 'videos'))).sort(),
      [...byId.keys()].sort(),
      'one video each, and nothing else',
    );
    const mails = await readOutbox(program.outboxFolder);
    for (const id of byId.keys()) {
      assert.equal(mails.filter(({ messageId }) => messageId.includes(id)).length, 1, `mails of ${id}`);
    }
  },
);
