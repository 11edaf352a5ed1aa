import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../../src/domain/errors.ts';
import { checkImportUrl } from '../../../src/services/gateway/import/check-import-url.ts';
import { ImportAllowList } from '../../../src/services/gateway/import/import-allow-list.ts';
import { isPublicAddress } from '../../../src/services/gateway/import/public-address.ts';
import { pinnedLookup, resolveTarget } from '../../../src/services/gateway/import/resolve-target.ts';

const FORBIDDEN_ADDRESSES = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '127.1.2.3',
  '169.254.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.1.1',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::8.8.8.8',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:10.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::10.0.0.1',
  '64:ff9b:1:fffe::1',
  '100::1',
  '100:0:0:1::1',
  '2001::1',
  '2001:0:53aa:64c:0:0:f5ff:fffe',
  '2001:2::1',
  '2001:3::1',
  '2001:4:112::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2002:808:808::1',
  '2606:4700::5efe:7f00:1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  'ff0e::1',
  'not an address',
  '',
  '8.8.8',
  '010.8.8.8',
];

for (const address of FORBIDDEN_ADDRESSES) {
  test(`${JSON.stringify(address)} is no public address`, () => {
    assert.equal(isPublicAddress(address), false);
  });
}

const PUBLIC_ADDRESSES = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '126.255.255.255',
  '128.0.0.1',
  '169.253.255.255',
  '172.15.255.255',
  '172.32.0.1',
  '192.167.255.255',
  '198.17.255.255',
  '198.20.0.1',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81b::200e',
  '2003::1',
];

for (const address of PUBLIC_ADDRESSES) {
  test(`${address} is a public address`, () => {
    assert.equal(isPublicAddress(address), true);
  });
}

const NOBODY = new ImportAllowList([]);

function forbids(error: unknown): boolean {
  return hasCode(error, 'import.url-not-allowed');
}

// WHATWG's URL parser makes one plain form of the odd ones; this table shows that none gets through.
for (const text of [
  'http://localhost/',
  'http://LOCALHOST:8080/',
  'http://localhost./',
  'http://foo.localhost/',
  'http://127.0.0.1/',
  'http://127.0.0.1./',
  'http://127.1/',
  'http://127.0.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0x7f.0.0.1/',
  'http://0177.0.0.1/',
  'http://017700000001/',
  'http://%31%32%37.0.0.1/',
  'http://１２７.０.０.１/',
  'http://127。0。0。1/',
  'http://0/',
  'http://0.0.0.0/',
  'http://169.254.169.254/latest/meta-data/',
  'http://0xa9fea9fe/',
  'http://2852039166/',
  'http://[::]/',
  'http://[::1]:8080/',
  'http://[0:0:0:0:0:0:0:1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:7f00:1]/',
  'http://[::127.0.0.1]/',
  'http://[64:ff9b::a00:1]/',
  'http://[2002:7f00:1::]/',
  'http://[fd00::1]/',
  'http://[fe80::1]/',
  'https://10.0.0.1/',
  'https://192.168.0.1:8443/',
  'https://100.64.0.1/',
  'http://198.18.0.1/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
]) {
  test(`${text} is refused without asking a name server`, async () => {
    const lookup = (): Promise<never> => Promise.reject(new Error('nobody may be asked'));
    await assert.rejects(resolveTarget(checkImportUrl(text), NOBODY, lookup), forbids);
  });
}

const give =
  (...addresses: string[]) =>
  (): Promise<{ address: string; family: number }[]> =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

const EXAMPLE = new URL('https://video.example/x.mp4');

test('a name with public addresses only may be fetched from', async () => {
  const found = await resolveTarget(EXAMPLE, NOBODY, give('8.8.8.8', '2606:4700::1'));
  assert.deepEqual(
    found.map(({ address }) => address),
    ['8.8.8.8', '2606:4700::1'],
  );
});

for (const addresses of [
  ['10.0.0.1'],
  ['8.8.8.8', '10.0.0.1'],
  ['::1', '8.8.8.8'],
  ['8.8.8.8', '1.1.1.1', '::ffff:127.0.0.1'],
  ['rubbish'],
]) {
  test(`a name that means ${addresses.join(' and ')} is refused, and the sentence tells no address`, async () => {
    await assert.rejects(resolveTarget(EXAMPLE, NOBODY, give(...addresses)), (error: unknown) => {
      assert.ok(hasCode(error, 'import.url-not-allowed'));
      for (const address of addresses) assert.ok(!error.message.includes(address));
      assert.match(error.detail ?? '', /video\.example/);
      return true;
    });
  });
}

test('a name without an address, and a name server that fails, say that the name is not known', async () => {
  const fails = (): Promise<never> => Promise.reject(new Error('ENOTFOUND'));
  for (const lookup of [give(), fails]) {
    await assert.rejects(
      resolveTarget(EXAMPLE, NOBODY, lookup),
      (error: unknown) => hasCode(error, 'import.failed') && error.message.includes('not known'),
    );
  }
});

test('the allow list names exceptions by host, address and network, and nothing beside them', async () => {
  const allow = new ImportAllowList([
    'NAS.local.',
    '127.0.0.1',
    '10.1.0.0/16',
    '[fd00::]/8'.replace(/[[\]]/g, ''),
    '[::1]',
  ]);
  const may = async (text: string, ...addresses: string[]): Promise<boolean> =>
    await resolveTarget(checkImportUrl(text), allow, give(...addresses)).then(
      () => true,
      (error: unknown) => !forbids(error),
    );
  assert.equal(await may('http://nas.local/', '192.168.0.9'), true);
  assert.equal(await may('http://nas.local./', '192.168.0.9'), true);
  assert.equal(await may('http://other.local/', '192.168.0.9'), false);
  assert.equal(await may('http://x.nas.local/', '192.168.0.9'), false);
  assert.equal(await may('http://127.0.0.1:1234/'), true);
  assert.equal(await may('http://2130706433/'), true);
  assert.equal(await may('http://127.0.0.2/'), false);
  assert.equal(await may('http://[::ffff:127.0.0.1]/'), false);
  assert.equal(await may('http://cam.example/', '10.1.2.3'), true);
  assert.equal(await may('http://cam.example/', '10.1.2.3', '10.2.0.1'), false);
  assert.equal(await may('http://[fd12::1]/'), true);
  assert.equal(await may('http://[::1]/'), true);
  assert.equal(await may('http://[fe80::1]/'), false);
  assert.equal(await may('http://localhost/', '127.0.0.1'), false, 'the name itself must be listed');
});

for (const entry of [
  '',
  '*',
  '10.0.0.0/33',
  '10.0.0/8',
  'fd00::/129',
  'http://nas',
  'nas:80',
  'a b',
  '1.2.3.4/8/9',
  '10.0.0.0/x',
]) {
  test(`the allow list refuses the entry ${JSON.stringify(entry)}`, () => {
    assert.throws(
      () => new ImportAllowList([entry]),
      (error: unknown) => hasCode(error, 'config.invalid'),
    );
  });
}

test('a pinned look-up gives only what was checked, in both forms', () => {
  const pinned = pinnedLookup([
    { address: '8.8.8.8', family: 4 },
    { address: '2606:4700::1', family: 6 },
  ]);
  pinned('evil.example', { all: true }, (error, addresses) => {
    assert.equal(error, null);
    assert.deepEqual(addresses, [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1', family: 6 },
    ]);
  });
  pinned('evil.example', {}, (error, address, family) => {
    assert.deepEqual([error, address, family], [null, '8.8.8.8', 4]);
  });
});
