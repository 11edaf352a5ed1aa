import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { freePort, ServerProcess, type ServerCommand, type TestServer } from './server-process.ts';
import { isInstalled, standInArguments } from './mongo-stand-in.ts';

/** A server of MongoDB's protocol. Its `url` names no database. */
export interface MongoDbServer extends TestServer {
  /** What answers: a server of somebody else's, a mongod of ours, or the stand-in. */
  readonly kind: 'given' | 'mongod' | 'stand-in';
  /** Stops its process without ending it: connections stay open and nothing answers. */
  freeze(): Promise<void>;
  thaw(): void;
  /** The URL of a database that nobody has used. It goes with stop(). */
  freshUrl(purpose?: string): string;
}

export interface MongoDbOptions {
  /** Where the data lie; they then outlive stop(). A folder of its own, removed by stop(), unless given. */
  readonly folder?: string;
  /** A free one unless given. */
  readonly port?: number;
  /** `user:password`: the one login that is taken (by mechanism PLAIN). Then it is the stand-in in any case. */
  readonly login?: string;
}

/**
 * Starts MongoDB: the server that TEST_MONGODB_URL names (used as it is; it can't be killed), else a mongod of the PATH,
 * else the stand-in of `mongo-stand-in/`, which needs java and, once, mvn. Every acknowledged write outlives kill().
 */
export async function startMongoDb(options: MongoDbOptions = {}): Promise<MongoDbServer> {
  const given = process.env.TEST_MONGODB_URL;
  if (given !== undefined && given !== '' && options.login === undefined) return givenServer(given);
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'audiowave-mongodb-')));
  const port = options.port ?? (await freePort());
  const url = `mongodb://127.0.0.1:${String(port)}/`;
  const kind = options.login === undefined && isInstalled('mongod') ? 'mongod' : 'stand-in';
  const command = kind === 'mongod' ? await mongod(port, folder) : await standIn(port, folder, options.login);
  const server: ServerProcess = new ServerProcess({ ...command, answers: () => checkIdentity(url, server) });
  await server.start();
  return {
    url,
    kind,
    freshUrl: (purpose = 'test') => withDatabase(url, freshName(purpose)),
    freeze: () => server.freeze(),
    thaw: () => {
      server.thaw();
    },
    kill: () => server.kill(),
    restart: () => server.start(),
    stop: async () => {
      await server.kill();
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

type Command = Omit<ServerCommand, 'answers'>;

async function standIn(port: number, folder: string, login?: string): Promise<Command> {
  await mkdir(folder, { recursive: true });
  const args = [...(await standInArguments()), String(port), join(folder, 'mongo.h2')];
  if (login !== undefined) args.push(login);
  return { name: 'the MongoDB stand-in', program: 'java', args };
}

async function mongod(port: number, folder: string): Promise<Command> {
  await mkdir(folder, { recursive: true });
  const args = ['--port', String(port), '--bind_ip', '127.0.0.1', '--dbpath', folder, '--nounixsocket'];
  return { name: 'mongod', program: 'mongod', args };
}

/** Throws unless it is the process of `server` that answers at `url`, not another program that took its port. */
async function checkIdentity(url: string, server: ServerProcess): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 300 });
  try {
    const { pid } = await client.db('admin').command({ serverStatus: 1 });
    if (Number(pid) !== server.pid) throw new Error('another program answers');
  } finally {
    await client.close();
  }
}

let names = 0;

function freshName(purpose: string): string {
  names += 1;
  return `${purpose}-${String(process.pid)}-${Date.now().toString(36)}-${String(names)}`;
}

/** Not by URL, which knows one host only. */
function withDatabase(url: string, database: string): string {
  return url.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)\/?[^?]*/, `$1/${database}`);
}

function givenServer(given: string): MongoDbServer {
  const used: string[] = [];
  const refusal = new Error('The server of TEST_MONGODB_URL is not ours to kill: run this test without it.');
  const refuse = (): Promise<never> => Promise.reject(refusal);
  const refuseAtOnce = (): never => {
    throw refusal;
  };
  return {
    url: given,
    kind: 'given',
    freshUrl: (purpose = 'test') => {
      const name = freshName(purpose);
      used.push(name);
      return withDatabase(given, name);
    },
    freeze: refuse,
    thaw: refuseAtOnce,
    kill: refuse,
    restart: refuse,
    stop: async () => {
      const client = new MongoClient(given, { serverSelectionTimeoutMS: 5_000 });
      try {
        for (const name of used.splice(0)) await client.db(name).dropDatabase();
      } finally {
        await client.close();
      }
    },
  };
}
