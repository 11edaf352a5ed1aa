import { createAudioEngine } from '../../src/audio/engine.ts';
import { audioEngineContract } from './audio-engine.contract.ts';

audioEngineContract('node-av', (limits) =>
  createAudioEngine({ encoder: 'node-av', timeoutMs: 100_000, maxMp3Bytes: 50_000_000, ...limits }),
);
