import { createAudioEngine } from '../../src/audio/engine.ts';
import { audioEngineContract } from './audio-engine.contract.ts';

audioEngineContract('ffmpeg', (limits) =>
  createAudioEngine({ encoder: 'ffmpeg', timeoutMs: 100_000, maxMp3Bytes: 50_000_000, ...limits }),
);
