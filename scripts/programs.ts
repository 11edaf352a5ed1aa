import { spawnSync } from 'node:child_process';

/** Program → Debian package. */
export type Programs = Readonly<Record<string, string>>;

/** What tests need besides the servers. */
export const TEST_PROGRAMS: Programs = {
  ffmpeg: 'ffmpeg',
  mpg123: 'mpg123',
  chromium: 'chromium',
  curl: 'curl',
  openssl: 'openssl',
};

/** The servers of tests and of `npm run distributed`, and what starts them. */
export const SERVER_PROGRAMS: Programs = {
  setpriv: 'util-linux',
  mariadbd: 'mariadb-server',
  'rabbitmq-server': 'rabbitmq-server',
  // The stand-in for MongoDB, which Debian has no package of, is built with these where there is no mongod.
  ...(isMissing('mongod') ? { javac: 'default-jdk-headless', mvn: 'maven' } : {}),
};

/** True where the shell does not find `program`. Servers lie where only root looks. */
export function isMissing(program: string): boolean {
  const find = 'PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1"';
  return spawnSync('sh', ['-c', find, 'sh', program], { stdio: 'ignore' }).status !== 0;
}

export function missingOf(programs: Programs): string[] {
  return Object.keys(programs).filter(isMissing);
}

/** What root types on Debian to get them. */
export function installCommand(programs: Programs, missing: readonly string[]): string {
  const packages = [...new Set(missing.map((program) => programs[program] ?? program))];
  return `apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages.join(' ')}`;
}
