import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/domain/errors.ts';
import type { User } from '../../src/domain/user.ts';
import type { UserStore } from '../../src/ports/user-store.ts';
import { capability, type Clause, type OpenStore, type StoreExcuses } from './store-subject.ts';

function account(email: string, password = '$argon2id$stand-in'): Parameters<UserStore['add']>[0] {
  return { email, password, role: 'user' };
}

/** How many of two add() of one address succeeded; the other must say that the account is there. */
async function countWinners(adds: readonly Promise<User>[]): Promise<number> {
  const results = await Promise.allSettled(adds);
  for (const result of results) {
    if (result.status === 'rejected') assert.ok(hasCode(result.reason, 'user.exists'), String(result.reason));
  }
  return results.filter((result) => result.status === 'fulfilled').length;
}

/** Every promise of the port user-store. */
export function userStoreContract(
  name: string,
  open: OpenStore<UserStore>,
  excuses: StoreExcuses = {},
): void {
  const clause: Clause = (promise, body) => {
    void test(`${name}: ${promise}`, body);
  };

  clause('an account that was added is found with all that was given', async (t) => {
    const { store } = await open(t);
    const before = Date.now();
    const added = await store.add({ email: 'ann@example.com', password: '$argon2id$x', role: 'admin' });
    assert.deepEqual(
      { email: added.email, password: added.password, role: added.role },
      { email: 'ann@example.com', password: '$argon2id$x', role: 'admin' },
    );
    assert.ok(added.id.length > 0);
    assert.ok(added.createdAt >= before && added.createdAt <= Date.now());
    assert.deepEqual(await store.findByEmail('ann@example.com'), added);
    assert.equal(await store.findByEmail('bob@example.com'), undefined);
  });

  clause('of two simultaneous add() of one address one wins', async (t) => {
    const { store } = await open(t);
    assert.equal(
      await countWinners([store.add(account('ann@example.com')), store.add(account('ann@example.com'))]),
      1,
    );
    assert.equal((await store.list()).length, 1);
  });

  clause('an address is taken in any letter case', async (t) => {
    const { store } = await open(t);
    await store.add(account('Ann@Example.com', 'first'));
    await assert.rejects(store.add(account('ann@EXAMPLE.COM', 'other')), { code: 'user.exists' });
    assert.equal((await store.findByEmail('ann@example.com'))?.password, 'first');
  });

  clause('look-ups match in any letter case, letters beyond ASCII included', async (t) => {
    const { store } = await open(t);
    const ann = await store.add(account('Ann@Example.com'));
    const jorg = await store.add(account('JÖRG@example.com'));
    assert.deepEqual(await store.findByEmail('aNN@eXAMPLE.com'), ann);
    assert.deepEqual(await store.findByEmail('jörg@EXAMPLE.com'), jorg);
    assert.equal(await store.findByEmail('jorg@example.com'), undefined);
  });

  clause('the address is kept as it was written', async (t) => {
    const { store } = await open(t);
    await store.add(account('Ann.Miller@Example.COM'));
    assert.equal((await store.findByEmail('ann.miller@example.com'))?.email, 'Ann.Miller@Example.COM');
  });

  clause('% and _ in an address are letters like others', async (t) => {
    const { store } = await open(t);
    await store.add(account('a_b@example.com'));
    assert.equal(await store.findByEmail('axb@example.com'), undefined);
    assert.equal(await store.findByEmail('%'), undefined);
    assert.equal(await store.remove('%@example.com'), false);
  });

  clause('a plain-text password is given back as it is', async (t) => {
    const { store } = await open(t);
    const password = ` Admin123'; DROP TABLE user; -- "ü" 😀 `;
    await store.add(account('georgio@email.com', password));
    assert.equal((await store.findByEmail('georgio@email.com'))?.password, password);
  });

  clause('list() is ordered by address, without letter case', async (t) => {
    const { store } = await open(t);
    assert.deepEqual(await store.list(), []);
    for (const email of ['cid@example.com', 'Bob@example.com', 'ann@example.com', 'Dan@example.com']) {
      await store.add(account(email));
    }
    assert.deepEqual(
      (await store.list()).map((user) => user.email),
      ['ann@example.com', 'Bob@example.com', 'cid@example.com', 'Dan@example.com'],
    );
  });

  clause('remove() takes one account, in any letter case, and says whether there was one', async (t) => {
    const { store } = await open(t);
    const first = await store.add(account('Ann@example.com'));
    const bob = await store.add(account('bob@example.com'));
    assert.equal(await store.remove('ANN@example.com'), true);
    assert.equal(await store.remove('ann@example.com'), false);
    assert.equal(await store.findByEmail('ann@example.com'), undefined);
    assert.deepEqual(await store.list(), [bob]);
    const again = await store.add(account('ann@example.com'));
    assert.notEqual(again.id, first.id, 'an id is never used again');
  });

  clause('replacePassword() writes where the old password is still there', async (t) => {
    const { store } = await open(t);
    const ann = await store.add(account('Ann@example.com', 'old secret'));
    assert.equal(await store.replacePassword('ANN@example.com', 'old secret', 'new secret'), true);
    assert.deepEqual(await store.findByEmail('ann@example.com'), { ...ann, password: 'new secret' });
  });

  clause('replacePassword() with a stale old password writes nothing', async (t) => {
    const { store } = await open(t);
    await store.add(account('ann@example.com', 'secret'));
    for (const stale of ['Secret', 'secret ', '']) {
      assert.equal(await store.replacePassword('ann@example.com', stale, 'new secret'), false);
    }
    assert.equal(await store.replacePassword('bob@example.com', 'secret', 'new secret'), false);
    assert.equal((await store.findByEmail('ann@example.com'))?.password, 'secret');
  });

  clause('of two simultaneous replacePassword() one wins', async (t) => {
    const { store } = await open(t);
    await store.add(account('ann@example.com', 'old'));
    const won = await Promise.all(
      ['one', 'two'].map((password) => store.replacePassword('ann@example.com', 'old', password)),
    );
    assert.deepEqual(won.toSorted(), [false, true]);
    const kept = (await store.findByEmail('ann@example.com'))?.password;
    assert.equal(kept, won[0] === true ? 'one' : 'two');
  });

  clause('check() resolves while the store is open and says store.unavailable after close()', async (t) => {
    const { store } = await open(t);
    await store.check();
    await store.close();
    await store.close();
    await assert.rejects(store.check(), { code: 'store.unavailable' });
    await assert.rejects(store.findByEmail('ann@example.com'), { code: 'store.unavailable' });
  });

  if (excuses.reopen === undefined) {
    clause('closed and opened again, everything is there', async (t) => {
      const subject = await open(t);
      const ann = await subject.store.add(account('Ann@example.com'));
      const bob = await subject.store.add({ email: 'bob@example.com', password: 'plain', role: 'admin' });
      await subject.store.add(account('cid@example.com'));
      await subject.store.remove('cid@example.com');
      await subject.store.replacePassword('bob@example.com', 'plain', 'other');
      const reopened = await capability(subject, 'reopen')();
      assert.deepEqual(await reopened.list(), [ann, { ...bob, password: 'other' }]);
    });
  }

  if (excuses.second === undefined) {
    clause('another instance on the same data sees at once what has resolved', async (t) => {
      const subject = await open(t);
      const second = await capability(subject, 'second')();
      const ann = await subject.store.add(account('ann@example.com', 'old'));
      assert.deepEqual(await second.findByEmail('ann@example.com'), ann);
      assert.equal(await second.replacePassword('ann@example.com', 'old', 'new'), true);
      assert.equal(await subject.store.replacePassword('ann@example.com', 'old', 'newer'), false);
      assert.equal(await second.remove('ann@example.com'), true);
      assert.equal(await subject.store.findByEmail('ann@example.com'), undefined);
    });

    clause('of two simultaneous add() of one address from two instances one wins', async (t) => {
      const subject = await open(t);
      const second = await capability(subject, 'second')();
      for (let round = 0; round < 20; round += 1) {
        const email = `ann${String(round)}@example.com`;
        const adds = [subject.store.add(account(email)), second.add(account(email.toUpperCase()))];
        assert.equal(await countWinners(adds), 1);
      }
      assert.equal((await subject.store.list()).length, 20);
    });
  }
}
