import type { AudioOptions } from '../../domain/audio-options.ts';

/** What the engine tells the worker, as JSON, when it starts it. */
export type WorkerOptions = AudioOptions & {
  /** The first sound track's bit rate as it was estimated, for where the container does not say it. */
  readonly sourceBitrateKbps?: number;
};
