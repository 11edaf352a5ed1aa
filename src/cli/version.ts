import { VERSION } from '../host/version.ts';

/** `audiowave version` */
export function version(): Promise<number> {
  process.stdout.write(`audiowave ${VERSION} on Node ${process.versions.node}\n`);
  return Promise.resolve(0);
}
