import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../tests/support/eventually.ts';

/** Milliseconds from the first byte of the first upload until all clips are ready; they are sent four at a time. */
export async function flowOf(url: string, token: string, path: string, count: number): Promise<number> {
  const begun = performance.now();
  const ids = new Set<string>();
  await inParallel(4, count, async () => {
    const form = new FormData();
    form.append('file', await openAsBlob(path), 'clip.mp4');
    const answer = await fetch(`${url}/upload`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: form,
    });
    if (answer.status !== 200) throw new Error(`upload answered ${String(answer.status)}`);
    ids.add(answer.headers.get('x-conversion-id') ?? '');
  });
  await eventually(`${String(count)} clips are ready`, () => areReady(url, token, ids), 1_800_000);
  return performance.now() - begun;
}

async function areReady(url: string, token: string, ids: ReadonlySet<string>): Promise<boolean> {
  const answer = await fetch(`${url}/api/v1/conversions?limit=${String(Math.min(100, ids.size))}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { items } = (await answer.json()) as { items: { id: string; state: string }[] };
  const failed = items.find(({ id, state }) => ids.has(id) && state === 'failed');
  if (failed !== undefined) throw new Error(`${failed.id} failed`);
  return items.filter(({ id, state }) => ids.has(id) && state === 'ready').length === ids.size;
}

/** The peer: what a person would type, two at the same time. */
export async function plainFfmpeg(folder: string, path: string, count: number): Promise<number> {
  const begun = performance.now();
  await inParallel(2, count, async (n) => {
    const out = join(folder, `plain-${String(n)}.mp3`);
    const args = [
      '-nostdin',
      '-y',
      '-v',
      'error',
      '-i',
      path,
      '-vn',
      '-c:a',
      'libmp3lame',
      '-b:a',
      '192k',
      out,
    ];
    const [code] = (await once(spawn('ffmpeg', args, { stdio: 'ignore' }), 'exit')) as [number];
    if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}`);
  });
  return performance.now() - begun;
}

async function inParallel(lines: number, count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const line = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) await work(n);
  };
  await Promise.all(Array.from({ length: lines }, line));
}
