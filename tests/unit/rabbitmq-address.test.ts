import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddress } from '../../src/adapters/rabbitmq/address.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';

test('user, password and virtual host come as they were before they were written into the URL', () => {
  const { options, place, user } = readAddress('amqp://ann%40x:p%3Aw%2F%40%25@mq/a%2Fb');
  const { username, password, vhost, port, tls } = options;
  assert.deepEqual([username, password, vhost, port, tls], ['ann@x', 'p:w/@%', 'a/b', 5672, false]);
  assert.deepEqual([place, user], ['amqp://mq:5672/a/b', 'ann@x']);
  const secure = readAddress('amqps://u:p@[::1]?heartbeat=5').options;
  const { hostname, heartbeat } = secure;
  assert.deepEqual([hostname, secure.port, secure.tls, heartbeat, secure.vhost], ['::1', 5671, true, 5, '/']);
});

const MALFORMED: Readonly<Record<string, RegExp>> = {
  s3cret: /must have the form/,
  'http://u:s3cret@mq': /must have the form/,
  'amqp://mq': /must name a user/,
  'amqp://u:s3cret%@mq': /write %25/,
  'amqp://u:s3cret@mq/%ZZ': /write %25/,
  'amqp://u:s3cret@mq?heartbeat=often': /heartbeat/,
  'amqp://u:s3cret@mq?frame_max=1': /not "frame_max"/,
  'amqp://u:s3cret@mq?tls_ca=/nowhere': /goes with amqps/,
  'amqps://u:s3cret@mq?tls_ca=/nowhere': /tls_ca names can not be read/,
};

for (const [url, reason] of Object.entries(MALFORMED)) {
  test(`${url} is config.invalid with its reason, and without its password`, () => {
    assert.throws(
      () => readAddress(url),
      (error) => {
        assert.ok(error instanceof AudiowaveError && error.code === 'config.invalid', String(error));
        assert.match(error.message, reason);
        assert.ok(!JSON.stringify([error.message, error.detail, String(error.cause)]).includes('s3cret'));
        return true;
      },
    );
  });
}
