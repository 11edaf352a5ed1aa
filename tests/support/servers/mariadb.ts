import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection, type Connection, type ConnectionOptions } from 'mysql2/promise';
import { freePort, ServerProcess, type TestServer } from './server-process.ts';

export interface MariaDbOptions {
  /** Refuses every connection that is not encrypted; the certificate is made on the spot and signed by itself. */
  readonly tls?: boolean;
  /** The host name that the certificate is for; `localhost` by default. */
  readonly certificateName?: string;
  /** Where data, socket and certificate go; a temporary folder by default, which stop() removes. */
  readonly folder?: string;
  /** A free one by default. */
  readonly port?: number;
}

/** A private MariaDB with an account that may do everything, and a database `auth`, which is empty. */
export interface MariaDb extends TestServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** PEM file of the certificate that the server shows; undefined without TLS. */
  readonly certificateFile: string | undefined;
  /** The URL of a new empty database; `setup` is SQL that is run in it first (several statements). */
  database(setup?: string): Promise<string>;
  /** The URL of a database that need not be there. */
  urlOf(database: string): string;
  /** A connection of the test's own, which it ends. */
  connect(options?: ConnectionOptions): Promise<Connection>;
  /** Makes it keep every connection and answer nothing, as a server that hangs does; thaw() lets it go on. */
  freeze(): Promise<void>;
  thaw(): void;
}

const HOST = '127.0.0.1';
const USER = 'auth_user';
const PASSWORD = 'Auth123';
const run = promisify(execFile);

/** Starts one in about three seconds. Fails with what to install where it is missing. */
export async function startMariaDb(options: MariaDbOptions = {}): Promise<MariaDb> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'audiowave-mariadb-')));
  const data = join(folder, 'data');
  await mkdir(folder, { recursive: true });
  await install(data);
  const certificateFile =
    options.tls === true ? await makeCertificate(folder, options.certificateName) : undefined;
  const port = options.port ?? (await freePort());
  const server = new RunningMariaDb({
    folder,
    data,
    port,
    certificateFile,
    keepsFolder: options.folder !== undefined,
  });
  try {
    await server.restart();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

async function install(data: string): Promise<void> {
  // A kept folder may hold the data of an earlier run.
  if (existsSync(join(data, 'mysql'))) return;
  try {
    await run('mariadb-install-db', [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      ...asRoot(),
    ]);
  } catch (cause) {
    throw new Error('MariaDB is needed: apt-get install mariadb-server', { cause });
  }
}

/** MariaDB refuses to run as root unless it is told so. */
function asRoot(): string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : [];
}

async function makeCertificate(folder: string, name = 'localhost'): Promise<string> {
  const certificate = join(folder, 'server.crt');
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', `/CN=${name}`],
    ...['-addext', `subjectAltName=DNS:${name}`],
    ...['-keyout', join(folder, 'server.key'), '-out', certificate],
  ]);
  return certificate;
}

interface Places {
  readonly folder: string;
  readonly data: string;
  readonly port: number;
  readonly certificateFile: string | undefined;
  readonly keepsFolder: boolean;
}

class RunningMariaDb implements MariaDb {
  readonly host = HOST;
  readonly user = USER;
  readonly password = PASSWORD;
  readonly port: number;
  readonly certificateFile: string | undefined;
  readonly #places: Places;
  readonly #process: ServerProcess;

  constructor(places: Places) {
    this.#places = places;
    this.port = places.port;
    this.certificateFile = places.certificateFile;
    this.#process = new ServerProcess({
      name: 'MariaDB',
      program: 'mariadbd',
      args: serverArguments(places),
      answers: () => this.#isItself(),
    });
  }

  get url(): string {
    return this.urlOf('auth');
  }

  urlOf(database: string): string {
    return `mysql://${USER}:${PASSWORD}@${HOST}:${String(this.port)}/${database}`;
  }

  async database(setup?: string): Promise<string> {
    const name = `test_${randomUUID().replaceAll('-', '')}`;
    const connection = await this.connect({ multipleStatements: true });
    try {
      await connection.query(`CREATE DATABASE ${name}; USE ${name}; ${setup ?? ''}`);
    } finally {
      await connection.end();
    }
    return this.urlOf(name);
  }

  connect(options: ConnectionOptions = {}): Promise<Connection> {
    return createConnection({
      host: HOST,
      port: this.port,
      user: USER,
      password: PASSWORD,
      charset: 'utf8mb4',
      connectTimeout: 2_000,
      // A test trusts its own server.
      ...(this.certificateFile === undefined ? {} : { ssl: { rejectUnauthorized: false } }),
      ...options,
    });
  }

  freeze(): Promise<void> {
    return this.#process.freeze();
  }

  thaw(): void {
    this.#process.thaw();
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  async restart(): Promise<void> {
    await this.kill();
    const account = `'${USER}'@'%'`;
    // The server runs it at each start, before it takes connections.
    await writeFile(
      join(this.#places.folder, 'init.sql'),
      [
        `CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY '${PASSWORD}';`,
        `GRANT ALL ON *.* TO ${account} WITH GRANT OPTION;`,
        'CREATE DATABASE IF NOT EXISTS auth;',
      ].join('\n'),
    );
    await this.#process.start();
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.#process.terminate();
    if (!this.#places.keepsFolder) await rm(this.#places.folder, { recursive: true, force: true });
  }

  async #isItself(): Promise<void> {
    const connection = await this.connect();
    try {
      const [rows] = await connection.query('SELECT @@datadir AS data');
      const { data } = (rows as [{ data: string }])[0];
      if ((await realpath(data)) !== (await realpath(this.#places.data))) {
        throw new Error(`another MariaDB answers on port ${String(this.port)}`);
      }
    } finally {
      connection.destroy();
    }
  }
}

function serverArguments({ folder, data, port, certificateFile }: Places): string[] {
  return [
    '--no-defaults',
    ...asRoot(),
    `--datadir=${data}`,
    `--socket=${join(folder, 'mariadb.sock')}`,
    `--pid-file=${join(folder, 'mariadb.pid')}`,
    `--bind-address=${HOST}`,
    `--port=${String(port)}`,
    `--init-file=${join(folder, 'init.sql')}`,
    '--skip-name-resolve',
    '--character-set-server=utf8mb4',
    '--performance-schema=off',
    '--key-buffer-size=1M',
    '--innodb-buffer-pool-size=16M',
    '--innodb-log-file-size=8M',
    // The default, said because tests that kill the server rely on it: a commit is on disk when it is answered.
    '--innodb-flush-log-at-trx-commit=1',
    ...(certificateFile === undefined
      ? []
      : [
          `--ssl-cert=${certificateFile}`,
          `--ssl-key=${join(folder, 'server.key')}`,
          '--require-secure-transport=ON',
        ]),
  ];
}
