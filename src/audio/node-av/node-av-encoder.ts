import { fileURLToPath } from 'node:url';
import type { AudioOptions } from '../../domain/audio-options.ts';
import type { EncodingChoice } from '../bit-rate.ts';
import type { Encoder, EncoderCommand } from '../encoder.ts';
import type { WorkerOptions } from './worker-options.ts';
import { WorkerReader } from './worker-reader.ts';

/** Built files end in .js, sources in .ts: the worker lies beside this one and ends alike. */
const WORKER = fileURLToPath(
  new URL(`worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);
const HEAP_MIB = 512;
const DATA_KIB = 3 * 1024 * 1024;

/** Our worker on the npm package `node-av`, in a Node process of its own. It chooses the bit rate itself. */
export class NodeAvEncoder implements Encoder {
  readonly guesses = false;

  command(
    options: AudioOptions,
    _choice: EncodingChoice | undefined,
    estimatedKbps: number | undefined,
  ): EncoderCommand {
    const told: WorkerOptions =
      estimatedKbps === undefined ? options : { ...options, sourceBitrateKbps: estimatedKbps };
    return {
      file: process.execPath,
      args: [`--max-old-space-size=${String(HEAP_MIB)}`, WORKER, JSON.stringify(told)],
      // Node reserves far more address space than it uses, so only what can be written is limited.
      dataKib: DATA_KIB,
    };
  }

  reader(): WorkerReader {
    return new WorkerReader();
  }
}
