import { spawn, spawnSync } from 'node:child_process';

// The whole test command: brings the programs that tests need, then runs node's test runner on all of tests/ (or on the
// files given as arguments). A program that can't be had ends the run with one line; nothing is skipped.

/** Program → Debian package. */
const PROGRAMS: Readonly<Record<string, string>> = {
  ffmpeg: 'ffmpeg',
  mpg123: 'mpg123',
  chromium: 'chromium',
  curl: 'curl',
  mariadbd: 'mariadb-server',
  'rabbitmq-server': 'rabbitmq-server',
  // For the stand-in of MongoDB, of which Debian has no package; see tests/support/servers/mongodb.ts.
  javac: 'default-jdk-headless',
  mvn: 'maven',
};

/** Where Debian puts servers, which is not on everybody's PATH. */
process.env.PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/**
 * Tests start their servers themselves, with their own data and ports: what a package would start while it is installed
 * is forbidden meanwhile (/usr/share/doc/init-system-helpers/README.policy-rc.d), unless somebody has a policy already.
 */
const WITHOUT_SERVICES = `policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod +x "$policy"
fi`;

function isMissing(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' }).status !== 0;
}

function bringPrograms(): void {
  const missing = Object.keys(PROGRAMS).filter(isMissing);
  if (missing.length === 0) return;
  const packages = missing.map((program) => PROGRAMS[program] ?? program);
  const command = `apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() === 0 && !isMissing('apt-get')) {
    console.log(`tests: installing ${packages.join(', ')}`);
    spawnSync('sh', ['-c', `${WITHOUT_SERVICES}\n${command}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const still = missing.filter(isMissing);
  if (still.length > 0) {
    console.error(`tests: ${still.join(', ')} not found. As root: ${command}`);
    process.exit(1);
  }
}

bringPrograms();
const files = process.argv.slice(2);
const args = [
  '--test',
  '--test-concurrency=2',
  '--test-timeout=300000',
  ...(files.length > 0 ? files : ['tests/**/*.test.ts']),
];
const runner = spawn(process.execPath, args, { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill(signal));
runner.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
