#!/usr/bin/env node
// The start of the program, in a JavaScript that Node 12 can read: an old Node must reach the line that says what to
// do, not stumble over newer syntax. So: no `??`, no `?.`, no top-level await, no `node:` imports.
import { spawn } from 'child_process';
import { existsSync, readFileSync } from 'fs';
import { createRequire } from 'module';
import { dirname, join } from 'path';
import { fileURLToPath } from 'url';

const NEEDED = [24, 15];
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP'];

function isEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** The Node that npm has installed with us (optionalDependencies), where it is one for this machine and new enough. */
function findPackagedNode() {
  const require = createRequire(import.meta.url);
  const system = process.platform === 'win32' ? 'win' : process.platform;
  const program = process.platform === 'win32' ? 'node.exe' : 'node';
  for (const name of ['node-' + system + '-' + process.arch, 'node-bin-' + system + '-' + process.arch]) {
    try {
      const manifest = require.resolve(name + '/package.json');
      const path = join(dirname(manifest), 'bin', program);
      if (isEnough(JSON.parse(readFileSync(manifest, 'utf8')).version) && existsSync(path)) return path;
    } catch {
      // Not installed.
    }
  }
  return undefined;
}

function refuse() {
  process.stderr.write(
    'Audiowave needs Node 24.15 or newer; this is v' +
      process.versions.node +
      '. Run npm ci without --omit=optional, or install Node 24.\n',
  );
  process.exitCode = 1;
}

/** Stands in for `node`: same arguments, descriptors, signals and exit code. */
function standInFor(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url)].concat(process.argv.slice(2)), {
    stdio: 'inherit',
  });
  const forward = (signal) => child.kill(signal);
  FORWARDED.forEach((signal) => process.on(signal, forward));
  // A packaged Node that this system can't run (another C library) is none.
  child.on('error', refuse);
  child.on('exit', (code, signal) => {
    FORWARDED.forEach((name) => process.removeListener(name, forward));
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}

/** A checkout runs its sources, the published package what was built of them. */
function findMain() {
  const source = new URL('../src/main.ts', import.meta.url);
  return existsSync(source) ? source : new URL('../dist/main.js', import.meta.url);
}

function start() {
  if (!isEnough(process.versions.node)) {
    const node = findPackagedNode();
    return node === undefined ? refuse() : standInFor(node);
  }
  return import(findMain().href)
    .then((program) => program.main(process.argv.slice(2)))
    .then((exitCode) => {
      process.exitCode = exitCode;
    });
}

start();
