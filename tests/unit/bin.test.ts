import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { tempFolder } from '../support/temp.ts';

const BIN = fileURLToPath(new URL('../../bin/audiowave.js', import.meta.url));
const PACKAGED = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;

/** Says how it was started, waits for a signal where it is told to, and gives the exit code it was asked for. */
const FAKE_MAIN = `
export async function main(args) {
  process.stdout.write(JSON.stringify({ args, version: process.versions.node, from: import.meta.url }) + '\\n');
  if (args[0] === 'echo') for await (const chunk of process.stdin) process.stdout.write(chunk);
  if (args[0] === 'die') process.kill(process.pid, 'SIGKILL');
  if (args[0] === 'wait') {
    const alive = setInterval(() => {}, 1000);
    const signal = await new Promise((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => resolve(name));
      process.stdout.write('waiting\\n');
    });
    clearInterval(alive);
    process.stdout.write(signal + '\\n');
  }
  return 7;
}
`;

interface Installed {
  readonly bin: string;
  /** Options that make this Node say it is v18; the way to test where the machine has no old Node. */
  readonly pretendOld: readonly string[];
}

/** A package folder with our bin and a main that only reports. */
async function install(
  t: TestContext,
  parts: { mains: ('src' | 'dist')[]; node?: 'good' | 'old' },
): Promise<Installed> {
  const folder = await realpath(await tempFolder(t));
  await mkdir(join(folder, 'bin'));
  await copyFile(BIN, join(folder, 'bin', 'audiowave.js'));
  await writeFile(join(folder, 'package.json'), '{"name":"audiowave","type":"module"}');
  for (const main of parts.mains) {
    await mkdir(join(folder, main));
    await writeFile(join(folder, main, main === 'src' ? 'main.ts' : 'main.js'), FAKE_MAIN);
  }
  if (parts.node !== undefined) {
    const node = join(folder, 'node_modules', PACKAGED);
    await mkdir(join(node, 'bin'), { recursive: true });
    await symlink(process.execPath, join(node, 'bin', 'node'));
    const version = parts.node === 'good' ? process.versions.node : '24.0.0';
    await writeFile(join(node, 'package.json'), JSON.stringify({ name: PACKAGED, version }));
  }
  const pretend = join(folder, 'pretend-old.cjs');
  await writeFile(pretend, `Object.defineProperty(process.versions, 'node', { value: '18.19.0' });`);
  return { bin: join(folder, 'bin', 'audiowave.js'), pretendOld: ['--require', pretend] };
}

function run(node: string, args: readonly string[], input = '') {
  return spawnSync(node, args, { encoding: 'utf8', input, timeout: 60_000 });
}

function firstLine(stdout: string): { args: string[]; version: string; from: string } {
  return JSON.parse(stdout.split('\n')[0] ?? '') as { args: string[]; version: string; from: string };
}

/** Real old Nodes on this machine's PATH, if any. */
function oldNodes(): string[] {
  const places = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  return [...new Set(places)].filter((node) => {
    const version = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' });
    return version.status === 0 && Number(version.stdout.split('.')[0]) < 24;
  });
}

test('bin: a new Node runs main with the arguments and gives its exit code', async (t) => {
  const { bin } = await install(t, { mains: ['dist'] });
  const { status, stdout, stderr } = run(process.execPath, [bin, 'serve', '--a', 'b c']);
  assert.equal(stderr, '');
  assert.equal(status, 7);
  assert.deepEqual(firstLine(stdout).args, ['serve', '--a', 'b c']);
});

test('bin: a checkout runs its sources, even where a build lies beside them', async (t) => {
  const { bin } = await install(t, { mains: ['src', 'dist'] });
  assert.match(firstLine(run(process.execPath, [bin]).stdout).from, /\/src\/main\.ts$/);
});

test('bin: an old Node hands over to the packaged one, with arguments, input and exit code', async (t) => {
  const { bin, pretendOld } = await install(t, { mains: ['dist'], node: 'good' });
  for (const node of [[process.execPath, ...pretendOld], ...oldNodes().map((path) => [path])]) {
    const { status, stdout, stderr } = run(
      node[0] ?? '',
      [...node.slice(1), bin, 'echo', 'x y'],
      'through the pipe',
    );
    assert.equal(stderr, '', node.join(' '));
    assert.equal(status, 7);
    assert.deepEqual(firstLine(stdout).args, ['echo', 'x y']);
    assert.equal(firstLine(stdout).version, process.versions.node);
    assert.match(stdout, /through the pipe$/);
  }
});

test('bin: an old Node without a packaged one says in one line what to do', async (t) => {
  for (const parts of [{ mains: ['dist' as const] }, { mains: ['dist' as const], node: 'old' as const }]) {
    const { bin, pretendOld } = await install(t, parts);
    for (const node of [[process.execPath, ...pretendOld], ...oldNodes().map((path) => [path])]) {
      const { status, stdout, stderr } = run(node[0] ?? '', [...node.slice(1), bin, 'serve']);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /^Audiowave needs Node 24\.15 or newer; this is v\d+\.\d+\.\d+\. Run npm ci without --omit=optional, or install Node 24\.\n$/,
      );
    }
  }
});

test('bin: a packaged Node that this system cannot run is none', async (t) => {
  const { bin, pretendOld } = await install(t, { mains: ['dist'] });
  const node = join(dirname(bin), '..', 'node_modules', PACKAGED);
  await mkdir(join(node, 'bin'), { recursive: true });
  await writeFile(join(node, 'package.json'), JSON.stringify({ version: '24.21.0' }));
  await writeFile(join(node, 'bin', 'node'), '#!/no/such/loader\n');
  await chmod(join(node, 'bin', 'node'), 0o755);
  const { status, stderr } = run(process.execPath, [...pretendOld, bin]);
  assert.equal(status, 1);
  assert.match(stderr, /^Audiowave needs Node 24\.15 or newer;[^\n]*\n$/);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`bin: ${signal} reaches the program behind an old Node, which waits for its end`, async (t) => {
    const { bin, pretendOld } = await install(t, { mains: ['dist'], node: 'good' });
    const child = spawn(process.execPath, [...pretendOld, bin, 'wait'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const said = listen(child);
    await said.until('waiting');
    const exit = once(child, 'exit');
    child.kill(signal);
    assert.deepEqual(await exit, [7, null]);
    await said.until(signal);
  });
}

test('bin: a program that dies of a signal is told as one', async (t) => {
  const { bin, pretendOld } = await install(t, { mains: ['dist'], node: 'good' });
  assert.equal(run(process.execPath, [...pretendOld, bin, 'die']).signal, 'SIGKILL');
});

test('bin: its syntax is one that Node 12 can read', async () => {
  const source = await readFile(BIN, 'utf8');
  const translate = (target: ts.ScriptTarget): string =>
    ts.transpileModule(source, { compilerOptions: { target, module: ts.ModuleKind.ESNext, allowJs: true } })
      .outputText;
  // What TypeScript has to rewrite for ES2019 is newer than Node 12.
  assert.equal(translate(ts.ScriptTarget.ES2019), translate(ts.ScriptTarget.ESNext));
  assert.doesNotMatch(source, /from 'node:|^await /m);
});

function listen(child: ChildProcess): { until(text: string): Promise<void> } {
  let heard = '';
  const waiting: (() => void)[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    heard += chunk.toString('utf8');
    for (const look of waiting) look();
  });
  return {
    until: (text) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`"${text}" was not said: ${heard}`));
        }, 30_000);
        const look = (): void => {
          if (!heard.includes(text)) return;
          clearTimeout(timer);
          resolve();
        };
        waiting.push(look);
        look();
      }),
  };
}
