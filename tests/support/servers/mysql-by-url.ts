import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { createConnection } from 'mysql2/promise';

/** The URL of a new empty database on the server of `url`, whose account may make some; dropped after the test. */
export async function freshDatabase(t: Pick<TestContext, 'after'>, url: string): Promise<string> {
  const name = `audiowave_test_${randomUUID().replaceAll('-', '')}`;
  const server = new URL(url);
  const options = {
    host: server.hostname,
    port: Number(server.port || '3306'),
    user: decodeURIComponent(server.username),
    password: decodeURIComponent(server.password),
  };
  const run = async (statement: string): Promise<void> => {
    const connection = await createConnection(options);
    try {
      await connection.query(statement);
    } finally {
      await connection.end();
    }
  };
  await run(`CREATE DATABASE ${name}`);
  t.after(() => run(`DROP DATABASE ${name}`));
  server.pathname = `/${name}`;
  return server.href;
}
