import { lifetimePromises } from './audio-engine/lifetime.ts';
import { soundPromises } from './audio-engine/sound.ts';
import { subject, type OpenEngine } from './audio-engine/subject.ts';
import { verdictPromises } from './audio-engine/verdicts.ts';

/** Every promise of the port; `open` makes an engine of the program under test. */
export function audioEngineContract(name: string, open: OpenEngine): void {
  const engine = subject(name, open);
  soundPromises(engine);
  verdictPromises(engine);
  lifetimePromises(engine);
}
