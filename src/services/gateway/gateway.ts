import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { AudiowaveError } from '../../domain/errors.ts';
import { listeningUrl } from '../../domain/listening-url.ts';
import type { RunningRole } from '../../ports/role.ts';
import { PatientAnnouncer } from '../../flow/patient-announcer.ts';
import { makeApp } from './app.ts';
import type { App, Edge } from './edge.ts';
import { Imports } from './import/imports.ts';
import { RunningWork } from './running-work.ts';
import type { FetchResumer } from './sweep/sweep-context.ts';
import { withDefaults, type GatewayDeps, type GatewayOptions } from './settings.ts';

export type { GatewayDeps, GatewayOptions } from './settings.ts';

export interface RunningGateway extends RunningRole {
  /** For the sweeper beside it. */
  readonly fetches: FetchResumer;
}

/** How long work that was told to stop may take to clean up. */
const CLEAN_UP_MS = 5_000;

/**
 * Starts the gateway: the drop-in routes, /api/v1, one-click links, the page, and the probes. Resolves when it listens;
 * `host.port-taken` where another program does. stop() lets running requests end within `graceMs`, then breaks them off:
 * an upload that was not answered leaves nothing, a fetch is handed back to whoever sweeps next.
 */
export async function startGateway(deps: GatewayDeps, options: GatewayOptions): Promise<RunningGateway> {
  const settings = withDefaults(options);
  const work = new RunningWork();
  const announcer = new PatientAnnouncer({ ...deps, queues: options.queues }, deps.log);
  const context = { deps, settings, work, announcer };
  let url = '';
  const imports = new Imports(context);
  const edge: Edge = { ...context, imports, publicUrl: () => options.publicUrl ?? url };
  const servers: Server[] = [];
  const app = await makeApp(edge, servers);
  url = await listen(app, options);
  let stopping: Promise<void> | undefined;
  return {
    url,
    fetches: imports,
    stop: (graceMs) => {
      imports.stopWaiting();
      return (stopping ??= stop(app, servers, work, graceMs).then(() => noted(announcer)));
    },
  };
}

async function listen(app: App, { host, port }: GatewayOptions): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new AudiowaveError(
      'host.port-taken',
      `Port ${String(port)} of ${host} is taken by another program.`,
      { cause },
    );
  }
  return urlOf(app, host);
}

/** With the port that was taken where any free one was asked for. */
function urlOf(app: App, host: string): string {
  const address = app.server.address();
  return listeningUrl(host, typeof address === 'object' && address !== null ? address.port : 0);
}

async function stop(app: App, servers: readonly Server[], work: RunningWork, graceMs: number): Promise<void> {
  const closed = app.close();
  const done = Promise.all([closed, work.settled()]);
  if (await endsWithin(done, graceMs)) return;
  work.stopAll();
  for (const server of servers) server.closeAllConnections();
  await endsWithin(done, CLEAN_UP_MS);
}

async function endsWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), delay(ms, false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

/** What is not noted in time goes out twice, which is harmless. */
async function noted(announcer: PatientAnnouncer): Promise<void> {
  await endsWithin(announcer.settled(), CLEAN_UP_MS);
}
