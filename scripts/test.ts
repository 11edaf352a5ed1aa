import { spawn, spawnSync } from 'node:child_process';
import { installCommand, isMissing, missingOf, SERVER_PROGRAMS, TEST_PROGRAMS } from './programs.ts';

// The whole test command: brings the programs that tests need, then runs node's test runner on all of tests/ (or on the
// files given as arguments). A program that can't be had ends the run with one line; nothing is skipped.

/**
 * Tests start their servers themselves, with their own data and ports: what a package would start while it is installed
 * is forbidden meanwhile (/usr/share/doc/init-system-helpers/README.policy-rc.d), unless somebody has a policy already.
 */
const WITHOUT_SERVICES = `policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod +x "$policy"
fi`;

function bringPrograms(): void {
  const needed = { ...TEST_PROGRAMS, ...SERVER_PROGRAMS };
  const missing = missingOf(needed);
  if (missing.length === 0) return;
  const command = installCommand(needed, missing);
  if (process.getuid?.() === 0 && !isMissing('apt-get')) {
    console.log(`tests: installing what brings ${missing.join(', ')}`);
    spawnSync('sh', ['-c', `${WITHOUT_SERVICES}\n${command}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const still = missingOf(needed);
  if (still.length > 0) {
    console.error(`tests: ${still.join(', ')} not found. As root: ${command}`);
    process.exit(1);
  }
}

bringPrograms();
const files = process.argv.slice(2);
// More files at a time than a small machine has cores: many wait for servers, leases and time-outs most of the time.
const FILES_AT_A_TIME = 3;
const args = [
  '--test',
  `--test-concurrency=${String(FILES_AT_A_TIME)}`,
  '--test-timeout=300000',
  ...(files.length > 0 ? files : ['tests/**/*.test.ts']),
];
const runner = spawn(process.execPath, args, { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill(signal));
runner.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
