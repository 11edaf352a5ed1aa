import { randomBytes } from 'node:crypto';
import { Pool } from 'undici';

export interface UploadRate {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly refused: number;
}

export interface UploadLoad {
  readonly gateways: readonly string[];
  readonly token: string;
  readonly fileBytes: number;
  readonly connections: number;
  readonly seconds: number;
}

const BOUNDARY = 'audiowave-bench';

/** Uploads the same small file on so many connections, one after another on each, and counts what is answered with success. */
export async function measureUploads(load: UploadLoad): Promise<UploadRate> {
  const perGateway = load.connections / load.gateways.length;
  const pools = load.gateways.map((url) => new Pool(url, { connections: perGateway, pipelining: 1 }));
  const body = formOf(randomBytes(load.fileBytes));
  const latencies: number[] = [];
  let refused = 0;
  const begun = performance.now();
  const end = begun + load.seconds * 1_000;
  const line = async (pool: Pool): Promise<void> => {
    while (performance.now() < end) {
      const from = performance.now();
      const answer = await pool.request({
        method: 'POST',
        path: '/upload',
        headers: {
          authorization: `Bearer ${load.token}`,
          'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
        },
        body,
      });
      const text = await answer.body.text();
      if (answer.statusCode === 200 && text === 'success!') latencies.push(performance.now() - from);
      else refused += 1;
    }
  };
  await Promise.all(pools.flatMap((pool) => Array.from({ length: perGateway }, () => line(pool))));
  const seconds = (performance.now() - begun) / 1_000;
  await Promise.all(pools.map((pool) => pool.close()));
  latencies.sort((a, b) => a - b);
  return {
    perSecond: latencies.length / seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    refused,
  };
}

function formOf(file: Buffer): Buffer {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="v.mp4"\r\nContent-Type: video/mp4\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), file, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
