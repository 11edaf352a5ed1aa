import { explainStart } from '../host/explain-start.ts';
import { createLog } from '../host/log.ts';
import { startHost, type Host } from '../host/host.ts';
import type { Logger } from '../ports/logger.ts';
import { banner } from './banner.ts';
import { readArguments, rolesOf } from './usage.ts';

// npm passes Ctrl+C on to a process that has got it already: a second signal counts only after this time.
const ECHO_MS = 1_000;
const EXIT_AFTER_MS = 2_000;

/** `audiowave serve [role…]`: runs until a signal stops it or a role fails. */
export async function serve(args: readonly string[]): Promise<number> {
  const { config, words } = readArguments(args);
  const roles = rolesOf(words);
  const log = createLog(config);
  const end = Promise.withResolvers<number>();
  const stopListening = onEnd(log, end.resolve);
  let host: Host | undefined;
  try {
    host = await startHost(config, roles, log);
    void host.failed.then((error) => {
      log.error({ err: explainStart(error, config) }, 'a role failed; the process ends');
      end.resolve(1);
    });
    process.stdout.write(await banner(config, roles, host));
    const code = await end.promise;
    await host.stop(config.shutdownGraceMs);
    log.info({ code }, 'stopped');
    // Nothing of ours is left; what a driver forgot shall not keep the process.
    setTimeout(() => process.exit(code), EXIT_AFTER_MS).unref();
    return code;
  } finally {
    stopListening();
    await host?.stop(0);
  }
}

/** Resolves `end` with an exit code on a signal or a failure that nobody caught; a second signal quits at once. */
function onEnd(log: Logger, end: (code: number) => void): () => void {
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstAt !== undefined) {
      if (Date.now() - firstAt > ECHO_MS) process.exit(130);
      return;
    }
    firstAt = Date.now();
    log.info({ signal }, 'stopping; once more to quit at once');
    end(0);
  };
  const onFailure = (error: unknown): void => {
    log.error({ err: error }, 'a role failed; the process ends');
    end(1);
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  process.on('uncaughtException', onFailure).on('unhandledRejection', onFailure);
  return () => {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
    process.off('uncaughtException', onFailure).off('unhandledRejection', onFailure);
  };
}
