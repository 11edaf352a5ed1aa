import type { IncomingMessage, ServerResponse } from 'node:http';

/** Samples of one frame and its bytes at 128 kbit/s and 44,100 Hz (ISO/IEC 11172-3, 2.4.3.1). */
const FRAME_SAMPLES = 1152;
const FRAME_BYTES = 417;
const SAMPLE_RATE = 44_100;

/** MPEG-1 Layer III frames whose side information is zero: silence that every browser plays. */
export function silentMp3(seconds: number): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.set([0xff, 0xfb, 0x90, 0x64]);
  const frames = Math.round((seconds * SAMPLE_RATE) / FRAME_SAMPLES);
  return Buffer.concat(Array.from({ length: frames }, () => frame));
}

/** Answers with the whole MP3 or the one range that is asked for, so that a browser can seek. */
export function answerMp3(request: IncomingMessage, response: ServerResponse, mp3: Buffer): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = to === undefined || to === '' ? mp3.length - 1 : Math.min(Number(to), mp3.length - 1);
  response.setHeader('Content-Type', 'audio/mpeg');
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Content-Length', end - start + 1);
  if (from !== undefined)
    response.setHeader('Content-Range', `bytes ${from}-${String(end)}/${String(mp3.length)}`);
  response.writeHead(from === undefined ? 200 : 206);
  response.end(mp3.subarray(start, end + 1));
}
