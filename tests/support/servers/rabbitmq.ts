import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, ServerProcess, type TestServer } from './server-process.ts';

/** The server itself: what stands on the PATH changes the user first. */
const BIN = '/usr/lib/rabbitmq/bin';
const run = promisify(execFile);

export interface RabbitMqOptions {
  /** Lines of rabbitmq.conf besides ours: `consumer_timeout = 60000`. */
  readonly config?: readonly string[];
  /** Default `audiowave`. */
  readonly user?: string;
  /** Random where none is given. */
  readonly password?: string;
}

export interface RabbitMqServer extends TestServer {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The URL of a new, empty virtual host; about 50 ms. */
  freshUrl(): Promise<string>;
  /** One call of the management interface: `manage('DELETE', '/queues/%2F/video')`. Fails where the status is no 2xx. */
  manage(method: string, path: string, body?: unknown): Promise<unknown>;
  /** One run of rabbitmqctl against this node, half a second; what it printed. */
  control(...args: string[]): Promise<string>;
  /** Has the node evaluate an Erlang expression, which takes a few milliseconds; what came out, as Erlang prints it. */
  evaluate(expression: string): Promise<string>;
  /** How many messages of a queue are with consumers: exact, unlike the statistics. `url` as freshUrl() gave it. */
  unacknowledged(url: string, queue: string): Promise<number>;
}

interface Node {
  readonly home: string;
  readonly name: string;
  readonly ports: { readonly amqp: number; readonly http: number; readonly epmd: number };
  readonly user: string;
  readonly password: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * A private RabbitMQ node with the management plugin, about 10 s. Its port mapper (epmd) is its own, too, so that
 * several nodes on one machine know nothing of each other. `apt-get install rabbitmq-server`.
 */
export async function startRabbitMq(options: RabbitMqOptions = {}): Promise<RabbitMqServer> {
  const node = await layOut(options);
  const manage = (method: string, path: string, body?: unknown): Promise<unknown> =>
    callManagement(node, method, path, body);
  const portMapper = new ServerProcess({
    name: 'epmd',
    program: 'epmd',
    args: ['-port', String(node.ports.epmd), '-address', '127.0.0.1'],
    answers: () => run('epmd', ['-port', String(node.ports.epmd), '-names']),
  });
  const server = new ServerProcess({
    name: 'RabbitMQ',
    program: join(BIN, 'rabbitmq-server'),
    args: [],
    env: node.env,
    answers: async () => {
      const { node: answering } = (await manage('GET', '/overview')) as { node: string };
      if (answering !== node.name) throw new Error(`another node answers: ${answering}`);
      await manage('GET', '/health/checks/port-listener/' + String(node.ports.amqp));
    },
    deadlineMs: 120_000,
  });
  const stop = async (): Promise<void> => {
    await server.kill();
    await portMapper.kill();
    await rm(node.home, { recursive: true, force: true });
  };
  const evaluate = async (expression: string): Promise<string> => {
    const cookie = await readFile(join(node.home, '.erlang.cookie'), 'utf8');
    const call = run('erl_call', ['-sname', node.name, '-c', cookie, '-e'], {
      env: { ...process.env, ...node.env },
      timeout: 30_000,
    });
    call.child.stdin?.end(`${expression}.\n`);
    const { stdout } = await call;
    const value = /^\{ok, ?([^]*)\}\s*$/.exec(stdout)?.[1];
    if (value === undefined) throw new Error(`The node could not evaluate ${expression}: ${stdout}`);
    return value;
  };
  try {
    await portMapper.start();
    await server.start();
  } catch (error) {
    await stop();
    throw error;
  }
  const urlOf = (vhost: string): string =>
    `amqp://${node.user}:${node.password}@127.0.0.1:${String(node.ports.amqp)}/${vhost}`;
  return {
    url: urlOf(''),
    port: node.ports.amqp,
    user: node.user,
    password: node.password,
    kill: () => server.kill(),
    restart: async () => {
      await server.kill();
      await server.start();
    },
    stop,
    manage,
    control: async (...args) => {
      const { stdout } = await run(join(BIN, 'rabbitmqctl'), ['-n', node.name, '-q', ...args], {
        env: { ...process.env, ...node.env },
      });
      return stdout;
    },
    evaluate,
    unacknowledged: async (url, queue) => {
      const vhost = new URL(url).pathname.slice(1) || '/';
      return Number(await evaluate(countUnacknowledged(vhost, queue)));
    },
    freshUrl: async () => {
      const vhost = `test-${randomBytes(6).toString('hex')}`;
      await manage('PUT', `/vhosts/${vhost}`);
      return urlOf(vhost);
    },
  };
}

async function layOut(options: RabbitMqOptions): Promise<Node> {
  const home = await mkdtemp(join(tmpdir(), 'audiowave-rabbitmq-'));
  const [amqp, http, epmd, distribution] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const { user = 'audiowave', password = randomBytes(9).toString('hex') } = options;
  const name = `audiowave-${randomBytes(4).toString('hex')}@localhost`;
  await mkdir(join(home, 'data'));
  await writeFile(join(home, 'plugins'), '[rabbitmq_management].\n');
  const config = [
    `listeners.tcp.1 = 127.0.0.1:${String(amqp)}`,
    'management.tcp.ip = 127.0.0.1',
    `management.tcp.port = ${String(http)}`,
    `default_user = ${user}`,
    `default_pass = ${password}`,
    'log.console = true',
    'log.console.level = warning',
    'log.file = false',
    'disk_free_limit.absolute = 50MB',
    // Half a gigabyte of write-ahead log is for machines that do nothing else.
    'raft.wal_max_size_bytes = 33554432',
    ...(options.config ?? []),
  ];
  await writeFile(join(home, 'rabbitmq.conf'), config.join('\n') + '\n');
  const env = {
    HOME: home,
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'plugins'),
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: join(home, 'none'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(home, 'generated'),
    // Makes the start script become the Erlang machine, so that a SIGKILL hits that; and it reads no input all the same.
    RABBITMQ_ALLOW_INPUT: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-noinput +sbwt none +sbwtdcpu none +sbwtdio none',
  };
  return { home, name, ports: { amqp, http, epmd }, user, password, env };
}

async function callManagement(node: Node, method: string, path: string, body?: unknown): Promise<unknown> {
  const authorization = Buffer.from(`${node.user}:${node.password}`).toString('base64');
  const response = await fetch(`http://127.0.0.1:${String(node.ports.http)}/api${path}`, {
    method,
    headers: { authorization: `Basic ${authorization}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${String(response.status)} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** A quorum queue's own state machine knows; a classic queue is asked itself. -1 where there is no such queue. */
function countUnacknowledged(vhost: string, queue: string): string {
  return `case rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost}">>, queue, <<"${queue}">>)) of
    {ok, Q} ->
      case amqqueue:get_type(Q) of
        rabbit_quorum_queue ->
          {ok, {_, Held}, _} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_checked_out/1),
          Held;
        _ -> [{_, Held}] = rabbit_amqqueue:info(Q, [messages_unacknowledged]), Held
      end;
    _ -> -1
  end`;
}
