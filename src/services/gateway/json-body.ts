import type { IncomingMessage } from 'node:http';
import { AudiowaveError } from '../../domain/errors.ts';
import { askForBody } from './unread-body.ts';

/** The largest JSON body of any route, in bytes. */
const MAX_JSON_BYTES = 16 * 1024;
const JSON_DEADLINE_MS = 15_000;

/** The JSON of a body: `request.too-large` above 16 KiB, `request.malformed` where it is none or does not come in time. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  checkJsonLength(request);
  askForBody(request);
  const bytes = await collect(request);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw new AudiowaveError('request.malformed', 'The body is not JSON.', { cause: error });
  }
}

/** `request.too-large` where the body says so of itself. */
export function checkJsonLength(request: IncomingMessage): void {
  if (Number(request.headers['content-length'] ?? 0) > MAX_JSON_BYTES)
    throw new AudiowaveError('request.too-large');
}

// Leaving an iteration over the request early would destroy its socket, and no answer could be sent any more.
function collect(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => {
      end(new AudiowaveError('request.malformed', 'The body did not come in time.'));
    }, JSON_DEADLINE_MS);
    function take(chunk: Buffer): void {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_JSON_BYTES) end(new AudiowaveError('request.too-large'));
    }
    function whole(): void {
      end();
    }
    function broken(): void {
      end(new AudiowaveError('request.malformed', 'The body broke off.'));
    }
    function end(error?: AudiowaveError): void {
      clearTimeout(timer);
      request.off('data', take).off('end', whole).off('close', broken);
      request.pause();
      if (error === undefined) resolve(Buffer.concat(chunks));
      else reject(error);
    }
    request.on('data', take).once('end', whole).once('close', broken).on('error', broken);
  });
}
