import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('mongo-stand-in/', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/audiowave/', import.meta.url));
const MAIN = 'MongoStandIn';

/** Program → Debian package. */
const BUILDERS = { javac: 'default-jdk-headless', mvn: 'maven' } as const;

/** True where the shell finds `program`. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' }).status === 0;
}

/** How java starts the stand-in, which takes a port and a file. Fetches and compiles it where that was not done before. */
export async function standInArguments(): Promise<string[]> {
  const home = await built();
  // Its data are small; a parallel collector would only take time from the tests on a small machine.
  return ['-Xmx512m', '-XX:+UseSerialGC', '-cp', `${join(home, 'classes')}:${join(home, 'lib', '*')}`, MAIN];
}

/** The folder of the jars and the compiled class, named by its sources and the version of Java. */
async function built(): Promise<string> {
  for (const [program, debian] of Object.entries(BUILDERS)) {
    if (!isInstalled(program))
      throw new Error(`MongoDB for tests needs mongod, or ${program}: apt-get install ${debian}`);
  }
  const sources = await Promise.all([`${MAIN}.java`, 'pom.xml'].map((name) => readFile(join(SOURCES, name))));
  const java = run('javac', ['-version']);
  const name = createHash('sha256').update(Buffer.concat(sources)).update(java).digest('hex').slice(0, 16);
  const home = join(CACHE, `mongo-stand-in-${name}`);
  if (!(await exists(home))) await build(home);
  return home;
}

/** Several processes may build at once: each in a folder of its own, and the first one's becomes `home`. */
async function build(home: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, 'draft-'));
  try {
    await cp(SOURCES, draft, { recursive: true });
    const lib = join(draft, 'lib');
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${lib}`];
    run('mvn', ['-q', '-B', '-f', join(draft, 'pom.xml'), ...copy]);
    const target = ['-d', join(draft, 'classes')];
    run('javac', ['-cp', join(lib, '*'), ...target, join(draft, `${MAIN}.java`)]);
    await rename(draft, home).catch(async (error: unknown) => {
      if (!(await exists(home))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 180_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stdout}${stderr}`);
  return stdout + stderr;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
