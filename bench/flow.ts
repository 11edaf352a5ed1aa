import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ANN, login, register } from '../tests/support/client.ts';
import { ADMIN, Distributed } from '../tests/support/distributed.ts';
import { longMedia } from '../tests/support/media.ts';
import { Program } from '../tests/support/program.ts';
import type { Role } from '../tests/support/role-process.ts';
import { cpuSeconds, usedBetween } from './cpu.ts';
import { flowOf, plainFfmpeg } from './flow/clips.ts';
import { forgetPeak, peakMiB, residentMiB, uploadBytes } from './memory.ts';
import { measureUploads, type UploadRate } from './flow/uploads.ts';

// The four processes with all their servers on this machine. Peers in the same run: the embedded profile for uploads,
// two plain ffmpeg at a time for clips, the processes at rest for memory.

const UPLOADS = { fileBytes: 20_000, connections: 8, seconds: 10 };
const SETTINGS = { LOG_LEVEL: 'warn', CONVERSIONS: '1' };

function row(what: string, ours: string, peer: string, ratio: number): void {
  console.log(
    `| ${what.padEnd(44)} | ${ours.padStart(30)} | ${peer.padStart(30)} | ${ratio.toFixed(2).padStart(5)} |`,
  );
}

function shown({ perSecond, p50Ms, p99Ms, refused }: UploadRate): string {
  const bad = refused > 0 ? `, ${String(refused)} refused` : '';
  return `${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms${bad}`;
}

/** Gateways and auth only: what is measured is the answer, not what converters do with the same two cores. */
async function uploads(folder: string): Promise<void> {
  const processes: Partial<Record<Role, number>> = { gateway: 2, converter: 0, notification: 0 };
  const all = await Distributed.start({ folder: join(folder, 'uploads'), processes, settings: SETTINGS });
  let ours: UploadRate;
  let cpu: string;
  try {
    const token = await login(all.gatewayUrl, ADMIN);
    const gateways = all.of('gateway').map(({ url }) => url);
    await measureUploads({ gateways, token, ...UPLOADS, seconds: 3 });
    const nameOf = (pid: number): string | undefined =>
      all.roles.find((role) => role.runs && role.pid === pid)?.role;
    const before = await cpuSeconds(nameOf);
    ours = await measureUploads({ gateways, token, ...UPLOADS });
    const used = usedBetween(before, await cpuSeconds(nameOf));
    const uploadsDone = ours.perSecond * UPLOADS.seconds;
    cpu = used.map(([name, seconds]) => `${name} ${((seconds * 1_000) / uploadsDone).toFixed(2)}`).join(', ');
  } finally {
    await all.stop();
  }
  const program = await Program.start(join(folder, 'embedded'), SETTINGS, ['auth', 'gateway']);
  try {
    await register(program.url, ANN);
    const token = await login(program.url, ANN);
    const gateways = [program.url];
    await measureUploads({ gateways, token, ...UPLOADS, seconds: 3 });
    const peer = await measureUploads({ gateways, token, ...UPLOADS });
    row(
      'uploads of 20 kB, 8 connections (peer: embedded)',
      shown(ours),
      shown(peer),
      ours.perSecond / peer.perSecond,
    );
    console.log(`CPU in ms for each distributed upload: ${cpu}`);
  } finally {
    await program.stop();
  }
}

async function clips(folder: string, all: Distributed, token: string): Promise<void> {
  for (const [count, seconds] of [
    [40, 20],
    [8, 600],
  ] as const) {
    const { path } = await longMedia(seconds);
    const peer = await plainFfmpeg(folder, path, count);
    const ours = await flowOf(all.gatewayUrl, token, path, count);
    const what = `${String(count)} clips of ${String(seconds)} s (peer: ffmpeg, two at a time)`;
    row(what, `${(ours / 1_000).toFixed(1)} s`, `${(peer / 1_000).toFixed(1)} s`, ours / peer);
  }
}

async function memory(all: Distributed, token: string): Promise<void> {
  const rest = new Map<string, number>();
  for (const { name, pid } of all.roles) {
    rest.set(name, await residentMiB(pid));
    await forgetPeak(pid);
  }
  await uploadBytes(all.gatewayUrl, token, 1_024);
  for (const { name, pid } of all.roles) {
    const [peak, resting] = [await peakMiB(pid), rest.get(name) ?? Number.NaN];
    const what = `memory of ${name}, 1 GiB upload (peer: at rest)`;
    row(what, `${peak.toFixed(0)} MiB`, `${resting.toFixed(0)} MiB`, peak / resting);
  }
}

/** Uploads, clips end to end, and memory; one of `uploads`, `clips`, `memory` runs only that. */
export async function run(args: readonly string[]): Promise<void> {
  const wanted = (part: string): boolean => args.length === 0 || args.includes(part);
  const folder = await mkdtemp(join(tmpdir(), 'audiowave-bench-'));
  try {
    console.log(`| ${'what'.padEnd(44)} | ${'ours'.padStart(30)} | ${'peer'.padStart(30)} | ratio |`);
    console.log('|---|--:|--:|--:|');
    if (wanted('uploads')) await uploads(folder);
    if (!wanted('clips') && !wanted('memory')) return;
    const processes = { converter: 2 };
    const all = await Distributed.start({ folder: join(folder, 'flow'), processes, settings: SETTINGS });
    try {
      const token = await login(all.gatewayUrl, ADMIN);
      if (wanted('memory')) await memory(all, token);
      if (wanted('clips')) await clips(folder, all, token);
    } finally {
      await all.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
