import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_LINKS,
  addLink,
  claimMail,
  markPublished,
  releaseMail,
  settleMail,
  type Conversion,
} from '../../src/domain/conversion.ts';
import { LATER, NOW, OWES_VIDEO, lease, record } from '../support/conversion-record.ts';

test('markPublished() clears what was owed then, and not what came to be owed later', () => {
  const owing = record('queued', { unpublished: OWES_VIDEO });
  assert.deepEqual(markPublished(owing, 'video')?.unpublished, []);
  assert.deepEqual(markPublished(owing, 'video', NOW - 5)?.unpublished, []);
  assert.equal(markPublished(owing, 'video', NOW - 6), undefined);
  assert.equal(markPublished(owing, 'mp3'), undefined);
});

test('addLink() drops expired links, keeps a bounded number, and needs an MP3 that is there', () => {
  let ready: Conversion = record('ready', { links: [{ tokenHash: 'old', expiresAt: NOW }] });
  for (let n = 0; n <= MAX_LINKS; n += 1) {
    ready = addLink(ready, { tokenHash: String(n), expiresAt: LATER }, NOW) ?? ready;
  }
  assert.deepEqual(
    ready.links.map((link) => link.tokenHash),
    Array.from({ length: MAX_LINKS }, (_, n) => String(n + 1)),
  );
  const link = { tokenHash: 'aa', expiresAt: LATER };
  assert.equal(addLink(record('ready', { mp3RemovedAt: NOW }), link, NOW), undefined);
  assert.equal(addLink(record('converting'), link, NOW), undefined);
});

test('settleMail() settles a mail that is due, once', () => {
  const sent = settleMail(record('ready', { mail: 'due' }), 'sent');
  assert.equal(sent?.mail, 'sent');
  assert.equal(settleMail(sent, 'refused'), undefined);
  assert.equal(settleMail(record('cancelled'), 'sent'), undefined);
});

test('claimMail() gives a mail that is due to one, until the lease has run out', () => {
  const due = record('ready', { mail: 'due' });
  const claimed = claimMail(due, lease('first'), NOW);
  assert.equal(claimed?.mailLease?.holder, 'first');
  assert.equal(claimMail(claimed, lease('second'), LATER - 1), undefined);
  assert.equal(claimMail(claimed, lease('second'), LATER)?.mailLease?.holder, 'second');
  assert.equal(claimMail(record('ready', { mail: 'sent' }), lease('first'), NOW), undefined);
});

test('releaseMail() lets the next one try at once, and leaves the claim of another alone', () => {
  const claimed = record('ready', { mail: 'due', mailLease: lease('first') });
  assert.equal(releaseMail(claimed, 'first')?.mailLease, null);
  assert.equal(releaseMail(claimed, 'second'), undefined);
  assert.equal(settleMail(claimed, 'sent')?.mailLease, null);
});
