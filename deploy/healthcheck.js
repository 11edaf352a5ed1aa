// The health check of the image: 0 where the process of this container answers on the port of its role. Whether its
// servers answer is readiness (/readyz) and no reason to start it again.
const { AUDIOWAVE_PORT = '8080', AUDIOWAVE_AUTH_PORT = '5000', AUDIOWAVE_HEALTH_PORT = '8081' } = process.env;

const answers = await Promise.all(
  [AUDIOWAVE_PORT, AUDIOWAVE_AUTH_PORT, AUDIOWAVE_HEALTH_PORT].map((port) =>
    fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4_000) }).then(
      (answer) => answer.ok,
      () => false,
    ),
  ),
);
process.exitCode = answers.includes(true) ? 0 : 1;
