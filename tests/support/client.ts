import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { eventually } from './eventually.ts';
import { mustRun, runProgram } from './run-program.ts';

export const ANN = { email: 'ann@example.com', password: 'secret' };

/** What curl printed and what the server answered. */
export interface Curled {
  readonly status: number;
  readonly body: string;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** Runs the real curl. */
export async function curl(...args: readonly string[]): Promise<Curled> {
  const ran = await mustRun('curl', ['-sS', '-w', '%{stderr}%{header_json}%{stdout}\n%{http_code}', ...args]);
  const text = ran.stdout.toString('utf8');
  const cut = text.lastIndexOf('\n');
  const headers = JSON.parse(ran.stderr) as Record<string, string[]>;
  return { status: Number(text.slice(cut + 1)), body: text.slice(0, cut), headers };
}

/** `POST /login` of the family; the bare token. */
export async function login(url: string, { email, password } = ANN): Promise<string> {
  const answer = await curl('-X', 'POST', `${url}/login`, '-u', `${email}:${password}`);
  assert.equal(answer.status, 200, answer.body);
  return answer.body;
}

/** Makes the account over the open registration. */
export async function register(url: string, { email, password } = ANN): Promise<void> {
  const answer = await fetch(`${url}/api/v1/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

/** The upload line of the family; the id of the conversion. */
export async function upload(url: string, token: string, path: string): Promise<string> {
  const answer = await curl(
    '-X',
    'POST',
    '-F',
    `file=@${path}`,
    '-H',
    `Authorization: Bearer ${token}`,
    `${url}/upload`,
  );
  assert.deepEqual([answer.status, answer.body], [200, 'success!']);
  const id = answer.headers['x-conversion-id']?.[0] ?? '';
  assert.match(id, /^[0-9a-f]{24}$/);
  return id;
}

/** A conversion as `/api/v1` shows it, as far as tests look at it. */
export interface ShownConversion {
  readonly id: string;
  readonly state: string;
  readonly name: string | null;
  readonly mp3Fid: string | null;
  readonly mp3Bytes: number | null;
  readonly durationMs: number | null;
  readonly progressPercent: number | null;
  readonly incomplete: boolean;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly mail: string;
}

export async function conversion(url: string, token: string, id: string): Promise<ShownConversion> {
  const answer = await fetch(`${url}/api/v1/conversions/${id}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(answer.status, 200);
  return (await answer.json()) as ShownConversion;
}

/** Waits until the conversion has ended and its mail is settled. */
export async function settled(
  url: string,
  token: string,
  id: string,
  deadlineMs = 60_000,
): Promise<ShownConversion> {
  return eventually(
    `conversion ${id} has ended and its mail has gone`,
    async () => {
      const shown = await conversion(url, token, id);
      return ['ready', 'failed'].includes(shown.state) && shown.mail === 'sent' ? shown : undefined;
    },
    deadlineMs,
  );
}

/** The download line of the family. */
export async function download(url: string, token: string, fid: string, to: string): Promise<void> {
  const ran = await runProgram('curl', [
    ...['-sS', '-f', '-X', 'GET', '-H', `Authorization: Bearer ${token}`, '--output', to],
    `${url}/download?fid=${fid}`,
  ]);
  assert.equal(ran.exitCode, 0, ran.stderr);
}

export interface ReadMail {
  readonly subject: string;
  readonly to: string;
  readonly text: string;
  readonly html: string;
  readonly messageId: string;
}

/** All mails of an outbox folder, read by a parser that is not ours. */
export async function readOutbox(folder: string): Promise<readonly ReadMail[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml')).sort();
  return Promise.all(
    names.map(async (name) => {
      const mail = await PostalMime.parse(await readFile(join(folder, name)));
      return {
        subject: mail.subject ?? '',
        to: mail.to?.[0]?.address ?? '',
        text: mail.text ?? '',
        html: mail.html ?? '',
        messageId: mail.messageId ?? '',
      };
    }),
  );
}
