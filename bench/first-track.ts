import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ANN, conversion, login, register } from '../tests/support/client.ts';
import { eventually } from '../tests/support/eventually.ts';
import { longMedia } from '../tests/support/media.ts';
import { Program } from '../tests/support/program.ts';
import { median } from './median.ts';

/** The peer: what a person would type. */
async function plainFfmpeg(source: string, folder: string): Promise<number> {
  const begun = performance.now();
  const args = [
    '-nostdin',
    '-y',
    '-v',
    'error',
    '-i',
    source,
    '-vn',
    '-c:a',
    'libmp3lame',
    '-b:a',
    '192k',
    join(folder, 'out.mp3'),
  ];
  const child = spawn('ffmpeg', args, { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}`);
  return performance.now() - begun;
}

/** Uploads `path` by a raw request; the id, and when the last byte had gone out. */
async function uploadTimed(
  url: string,
  token: string,
  path: string,
): Promise<{ id: string; lastByteAt: number }> {
  const boundary = 'audiowave-bench';
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="v.mp4"\r\nContent-Type: video/mp4\r\n\r\n`;
  const tail = `\r\n--${boundary}--\r\n`;
  const length = Buffer.byteLength(head) + (await stat(path)).size + Buffer.byteLength(tail);
  const upload = request(`${url}/upload`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': length,
    },
  });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  upload.write(head);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
    if (!upload.write(chunk)) await once(upload, 'drain');
  }
  await new Promise<void>((resolve) => upload.end(tail, resolve));
  const lastByteAt = performance.now();
  const [response] = await answered;
  response.resume();
  const id = response.headers['x-conversion-id'];
  if (response.statusCode !== 200 || typeof id !== 'string')
    throw new Error(`upload answered ${String(response.statusCode)}`);
  return { id, lastByteAt };
}

async function lastByteToReady(program: Program, token: string, path: string): Promise<number> {
  const { id, lastByteAt } = await uploadTimed(program.url, token, path);
  await eventually(
    'the conversion is ready',
    async () => {
      const { state } = await conversion(program.url, token, id);
      if (state === 'failed') throw new Error('the conversion failed');
      return state === 'ready';
    },
    600_000,
  );
  return performance.now() - lastByteAt;
}

/** Time from the last uploaded byte to `ready`, as a ratio to plain ffmpeg on the same file; runs take turns. */
export async function run(args: readonly string[]): Promise<void> {
  const rounds = Number(args[0] ?? 3);
  const folder = await mkdtemp(join(tmpdir(), 'audiowave-bench-'));
  try {
    for (const encoder of ['ffmpeg', 'node-av']) {
      const program = await Program.start(join(folder, encoder), {
        AUDIOWAVE_ENCODER: encoder,
        LOG_LEVEL: 'warn',
      });
      try {
        await register(program.url, ANN);
        const token = await login(program.url);
        for (const seconds of [20, 600]) {
          const { path } = await longMedia(seconds);
          const ours: number[] = [];
          const plain: number[] = [];
          for (let round = 0; round < rounds; round++) {
            plain.push(await plainFfmpeg(path, folder));
            ours.push(await lastByteToReady(program, token, path));
          }
          const [a, b] = [median(ours), median(plain)];
          const row = `${encoder.padEnd(8)} ${String(seconds).padStart(4)} s video: last byte to ready ${a.toFixed(0).padStart(6)} ms, plain ffmpeg ${b.toFixed(0).padStart(6)} ms, ratio ${(a / b).toFixed(2)}`;
          console.log(row);
        }
      } finally {
        await program.stop();
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
