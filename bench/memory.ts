import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';

const CHUNK = Buffer.alloc(1 << 20, 0x5a);

/** Resident memory of a process now, in MiB (Linux). */
export function residentMiB(pid: number): Promise<number> {
  return statusMiB(pid, 'VmRSS');
}

/** The most resident memory since forgetPeak(), in MiB. */
export function peakMiB(pid: number): Promise<number> {
  return statusMiB(pid, 'VmHWM');
}

/** proc(5), "clear_refs": 5 resets the peak to what is resident now. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${String(pid)}/clear_refs`, '5');
}

async function statusMiB(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
}

/** Uploads `mebibytes` of bytes that are no video, from memory. */
export async function uploadBytes(url: string, token: string, mebibytes: number): Promise<void> {
  const boundary = 'audiowave-bench';
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="v.mp4"\r\n\r\n`;
  const tail = `\r\n--${boundary}--\r\n`;
  const upload = request(`${url}/upload`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + mebibytes * CHUNK.length + tail.length,
    },
  });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  upload.write(head);
  for (let n = 0; n < mebibytes; n++) if (!upload.write(CHUNK)) await once(upload, 'drain');
  upload.end(tail);
  const [response] = await answered;
  response.resume();
  if (response.statusCode !== 200) throw new Error(`upload answered ${String(response.statusCode)}`);
}
