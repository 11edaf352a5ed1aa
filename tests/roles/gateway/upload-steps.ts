import assert from 'node:assert/strict';
import type { Conversion } from '../../../src/domain/conversion.ts';
import { eventually } from '../../support/eventually.ts';
import { bearer, countFiles, type Fixture } from './gateway-fixture.ts';
import { partHead, RawClient, requestHead } from './raw-client.ts';

export async function conversionsOf(
  gateway: Fixture,
  owner = 'ann@example.com',
): Promise<readonly Conversion[]> {
  return (await gateway.conversions.list(owner, { limit: 100 })).conversions;
}

/** Neither bytes nor record nor message is left. */
export async function expectNothing(gateway: Fixture): Promise<void> {
  await eventually('no record is left', async () => (await conversionsOf(gateway)).length === 0);
  assert.equal(await countFiles(gateway.videos), 0);
  assert.equal((await gateway.broker.depth('video')).waiting, 0);
}

export async function uploadRaw(
  gateway: Fixture,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<string> {
  const client = new RawClient(gateway.port);
  const all = { ...bearer('ann'), connection: 'close', ...headers };
  await client.send(requestHead('/upload', body.length, all));
  await client.send(body);
  return client.closed();
}

export function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf('\r\n\r\n') + 4);
}

/** A client in the middle of an upload: its record is there. */
export async function beginUpload(gateway: Fixture): Promise<{ client: RawClient; conversion: Conversion }> {
  const client = new RawClient(gateway.port);
  await client.send(requestHead('/upload', 1_000_000, bearer('ann')) + partHead() + 'the beginning');
  const conversion = await eventually('a record uploading', async () => (await conversionsOf(gateway))[0]);
  assert.equal(conversion.state, 'uploading');
  assert.equal(conversion.lease?.holder, 'gateway-1');
  return { client, conversion };
}
