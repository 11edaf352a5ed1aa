import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RabbitMqBroker } from '../../src/adapters/rabbitmq/broker.ts';
import { Inbox } from '../support/inbox.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { freePort } from '../support/servers/server-process.ts';
import { startRabbitMq, type RabbitMqServer } from '../support/servers/rabbitmq.ts';
import { consuming, DONE } from './broker/subject.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url));
const AUTHORITY = fixture('mail-authority.crt');

let server: RabbitMqServer | undefined;
let port = 0;

before(async () => {
  port = await freePort();
  server = await startRabbitMq({
    config: [
      `listeners.ssl.1 = 127.0.0.1:${String(port)}`,
      `ssl_options.cacertfile = ${AUTHORITY}`,
      `ssl_options.certfile = ${fixture('localhost.crt')}`,
      `ssl_options.keyfile = ${fixture('localhost.key')}`,
    ],
  });
});
after(() => server?.stop());

function urlOf(host: string, query: string): string {
  assert.ok(server);
  return `amqps://${server.user}:${server.password}@${host}:${String(port)}/${query}`;
}

test('messages go both ways over TLS, where tls_ca names the authority of the certificate', async (t) => {
  const broker = await RabbitMqBroker.open(urlOf('localhost', `?tls_ca=${AUTHORITY}`), {
    log: recordedLog(),
  });
  t.after(() => broker.close());
  await broker.check();
  await broker.publish('video', { n: 1 }, { messageId: 'safe' });
  const inbox = new Inbox();
  await broker.consume('video', consuming(), inbox.handler);
  const letter = await inbox.next();
  assert.deepEqual([letter.messageId, letter.body], ['safe', { n: 1 }]);
  letter.answer(DONE);
});

test('a certificate that nobody we trust has signed is refused: nothing is sent, and the check says why', async (t) => {
  const broker = await RabbitMqBroker.open(urlOf('localhost', ''), { log: recordedLog() });
  t.after(() => broker.close());
  await assert.rejects(broker.check(), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /RabbitMQ at amqps:\/\/localhost:\d+\/: .*certificate/);
    return true;
  });
});
