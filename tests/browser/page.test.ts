import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { eventually } from '../support/eventually.ts';
import { tempFolder } from '../support/temp.ts';
import { startBrowser } from './browser.ts';
import { ANN, PASSWORD, choose, logIn, open, openLoggedIn, row, stored, video } from './page-driver.ts';

/** What Chromium writes to the console for every answer that is no success. */
const REFUSAL = /^Failed to load resource: the server responded with a status of 4\d\d/;

let browser: Browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser.close());

test('an account is made, a file becomes an MP3, is played, downloaded and deleted', async (t) => {
  const { page, gateway, complaints } = await open(t, browser);
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('E-mail address').fill('bob@example.com');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByText('bob@example.com').waitFor();

  await choose(page, video('talk.mp4'));
  const talk = row(page, 'talk.mp4');
  await talk.getByText('Waiting for a converter').waitFor();
  const { id } = gateway.conversions.named('bob@example.com', 'talk.mp4');
  gateway.conversions.change(id, { state: 'converting', progressPercent: 42.5 });
  await talk.getByText('Converting 42%').waitFor();
  assert.equal(await talk.getByRole('progressbar').getAttribute('aria-valuenow'), '42');
  gateway.conversions.finish(id);
  await talk.getByText('0:20 · 480 kB MP3').waitFor();
  await page.locator('#announcer').getByText('talk.mp4: the MP3 is ready.').waitFor({ state: 'attached' });

  await talk.getByRole('button', { name: 'Play talk.mp4' }).click();
  await talk.getByRole('button', { name: 'Pause talk.mp4' }).waitFor();
  const position = talk.getByRole('slider', { name: 'Position' });
  await position.fill('12');
  await eventually('the sound goes on from 12 s', async () =>
    /^0:1[2-9] of 0:20$/.test((await position.getAttribute('aria-valuetext')) ?? ''),
  );

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    talk.getByRole('button', { name: 'Download the MP3 of talk.mp4' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'talk.mp3');
  assert.deepEqual(await buffer(createReadStream(await download.path())), gateway.mp3);

  await talk.getByRole('button', { name: 'Delete talk.mp4' }).click();
  assert.equal(
    gateway.conversions.of('bob@example.com').length,
    1,
    'nothing is deleted before the question is answered',
  );
  await talk.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByText('Quiet so far').waitFor();
  assert.equal(gateway.conversions.of('bob@example.com').length, 0);
  assert.deepEqual(complaints, []);
});

test('an upload shows how far it is, once, and stops when it is cancelled', async (t) => {
  const { page, gateway, complaints } = await openLoggedIn(t, browser);
  const hold = Promise.withResolvers<undefined>();
  gateway.hold = hold.promise;
  const long = join(await tempFolder(t), 'long.mp4');
  await writeFile(long, '');
  await truncate(long, 40_000_000);
  await page.locator('#files').setInputFiles(long);
  const bar = row(page, 'long.mp4').getByRole('progressbar');
  await eventually(
    'some of the file is on its way',
    async () => Number(await bar.getAttribute('aria-valuenow')) > 0,
  );
  assert.ok(Number(await bar.getAttribute('aria-valuenow')) < 100);
  await eventually('the server lists the upload', () => gateway.conversions.named(ANN, 'long.mp4'));
  gateway.conversions.add(ANN, { name: 'other.mp4' });
  await row(page, 'other.mp4').waitFor();
  assert.equal(await row(page, 'long.mp4').count(), 1, 'its record is not a second row');

  await row(page, 'long.mp4').getByRole('button', { name: 'Cancel the upload of long.mp4' }).click();
  await row(page, 'long.mp4').waitFor({ state: 'detached' });
  hold.resolve(undefined);
  await eventually('the connection is closed', () => gateway.aborted === 1);
  assert.deepEqual(complaints, []);
});

test('two files chosen at once become two conversions', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser);
  await choose(page, video('one.mp4'), video('two.mp4', 5000));
  const [one, two] = await Promise.all([stored(gateway, 'one.mp4'), stored(gateway, 'two.mp4')]);
  gateway.conversions.finish(one.id);
  gateway.conversions.fail(two.id, 'audio.no-sound', 'The file has no sound.');
  await row(page, 'one.mp4').getByRole('button', { name: 'Play one.mp4' }).waitFor();
  await row(page, 'two.mp4').getByText('The file has no sound.').waitFor();
  assert.equal(await page.locator('.row').count(), 2);
});

test('files dropped anywhere on the page are uploaded', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser);
  const data = await page.evaluateHandle(
    "(() => { const d = new DataTransfer(); d.items.add(new File(['x'.repeat(500)], 'dropped.mkv')); return d; })()",
  );
  await page.dispatchEvent('footer', 'dragenter', { dataTransfer: data });
  await page.locator('#drop.over').waitFor();
  await page.dispatchEvent('footer', 'drop', { dataTransfer: data });
  await row(page, 'dropped.mkv').getByText('Waiting for a converter').waitFor();
  await stored(gateway, 'dropped.mkv');
  assert.equal(await page.locator('#drop.over').count(), 0);
});

test('a video is fetched from an address; a refused address is explained beside the field', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser);
  const field = page.getByLabel('Or paste the address of a video');
  await field.fill('ftp://example.org/a.mp4');
  await field.press('Enter');
  await page.getByText('Enter a whole address that begins with https:// or http://.').waitFor();
  await field.fill('http://localhost/secret.mp4');
  await field.press('Enter');
  await page.getByText('Audiowave does not fetch from this URL.').waitFor();
  await field.fill('https://example.org/films/caf%C3%A9.mp4');
  await field.press('Enter');
  await row(page, 'café.mp4').getByText('Fetching · from example.org').waitFor();
  assert.equal(gateway.conversions.of(ANN)[0]?.source.url, 'https://example.org/films/caf%C3%A9.mp4');
});

test('a failed conversion says why, a broken-off video is marked incomplete, a running one can be stopped', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser);
  const { conversions } = gateway;
  conversions.fail(conversions.add(ANN, { name: 'notes.mp4' }).id, 'audio.not-media', 'This is not a video.');
  conversions.finish(conversions.add(ANN, { name: 'cut.mp4' }).id, { incomplete: true });
  const running = conversions.add(ANN, { name: 'running.mp4', state: 'converting', progressPercent: 10 });
  await choose(page, video('last.mp4'));
  await row(page, 'notes.mp4').getByText('This is not a video.').waitFor();
  assert.equal(
    await row(page, 'notes.mp4')
      .getByRole('button', { name: /Play|Download/ })
      .count(),
    0,
  );
  await row(page, 'cut.mp4').getByText('Incomplete', { exact: true }).waitFor();
  await row(page, 'cut.mp4').getByRole('button', { name: 'Play cut.mp4' }).waitFor();

  await row(page, 'running.mp4').getByRole('button', { name: 'Cancel running.mp4' }).click();
  const question = page.getByRole('group', { name: 'Stop this conversion?' });
  await question.waitFor();
  await page.keyboard.press('Escape');
  await question.waitFor({ state: 'hidden' });
  await row(page, 'running.mp4').getByRole('button', { name: 'Cancel running.mp4' }).click();
  await question.getByRole('button', { name: 'Stop', exact: true }).click();
  await row(page, 'running.mp4').getByText('Cancelled').waitFor();
  assert.equal(conversions.find(ANN, running.id)?.state, 'cancelled');
});

test('a file that is too large is not sent; a refused upload says why and can be tried again', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser, { maxUploadBytes: 10_000 });
  await choose(page, video('big.mp4', 20_000));
  await row(page, 'big.mp4').getByText('The file has 20 kB; the limit here is 10 kB.').waitFor();
  gateway.refuseUploads = {
    status: 507,
    code: 'store.full',
    detail: 'The disk is almost full; nothing was kept.',
  };
  await choose(page, video('small.mp4'));
  await row(page, 'small.mp4').getByText('The disk is almost full; nothing was kept.').waitFor();
  gateway.refuseUploads = undefined;
  await row(page, 'small.mp4').getByRole('button', { name: 'Try again' }).click();
  await row(page, 'small.mp4').getByText('Waiting for a converter').waitFor();
  assert.equal(gateway.conversions.of(ANN).length, 1);
});

test('names, mails and sentences of others are shown as text, never as markup', async (t) => {
  const { page, gateway, complaints } = await openLoggedIn(t, browser);
  const evil = '<img src=x onerror=alert(1)>.mp4';
  await choose(page, video(evil));
  const { id } = await stored(gateway, evil);
  gateway.conversions.fail(id, 'audio.not-media', '<b>bold</b> <script>alert(2)</script>');
  const text = 'Look: https://example.org/d/abc?x=1. <img src=y onerror=alert(3)> javascript:alert(4)';
  gateway.mails.push({
    name: 'm1',
    to: ANN,
    subject: '<i>Hello</i>',
    text,
    sentAt: new Date().toISOString(),
  });
  await row(page, evil).getByText('<b>bold</b>').waitFor();
  await page.getByRole('tab', { name: 'Outbox' }).click();
  await page.getByText('<i>Hello</i>').waitFor();
  const links = page.locator('#mails a');
  assert.equal(await links.count(), 1, 'only http(s) addresses become links');
  assert.equal(await links.getAttribute('href'), 'https://example.org/d/abc?x=1');
  assert.equal(await page.locator('.row img, #mails img, .row script, .row b, #mails i').count(), 0);
  assert.deepEqual(complaints, []);
});

test('a wrong password is told in one line, and the right one then works', async (t) => {
  const { page, complaints } = await open(t, browser);
  await logIn(page, 'something else');
  await page.getByRole('alert').getByText('The e-mail address or the password is wrong.').waitFor();
  await logIn(page);
  await page.getByText('Quiet so far').waitFor();
  assert.deepEqual(
    complaints.filter((line) => !REFUSAL.test(line)),
    [],
  );
});

test('the whole log-in and the tabs work with the keyboard alone', async (t) => {
  const { page } = await open(t, browser);
  await page.locator('#email:focus').waitFor();
  await page.keyboard.type(ANN);
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  assert.equal(await page.getByLabel('Stay logged in').isChecked(), true);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('Quiet so far').waitFor();
  await page.getByRole('tab', { name: 'Conversions' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.getByText('No mails yet.').waitFor();
  assert.equal(await page.getByRole('tab', { name: 'Outbox' }).getAttribute('aria-selected'), 'true');
});

test('who stays logged in is so in a new tab; who does not, is not', async (t) => {
  for (const stays of [true, false]) {
    const { page, context, gateway } = await open(t, browser);
    await page.getByLabel('Stay logged in').setChecked(stays);
    await logIn(page);
    await page.getByText('Quiet so far').waitFor();
    await page.reload();
    await page.getByText('Quiet so far').waitFor();
    const other = await context.newPage();
    await other.goto(gateway.url);
    await other.getByText(stays ? 'Quiet so far' : 'Stay logged in').waitFor();
  }
});

test('a session that has ended leads back to the log-in form, which says so', async (t) => {
  const { page, gateway } = await openLoggedIn(t, browser);
  await choose(page, video('before.mp4'));
  await row(page, 'before.mp4').waitFor();
  gateway.endSessions();
  await page.getByText('Your session has ended. Please log in again.').waitFor();
  await logIn(page);
  await row(page, 'before.mp4').waitFor();
  assert.equal(await page.locator('.row').count(), 1, 'nothing of the former session is left over');
});

test('logging out forgets the token', async (t) => {
  const { page } = await openLoggedIn(t, browser);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('Password').waitFor();
  assert.equal(await page.evaluate('sessionStorage.length + localStorage.length'), 0);
});

test('there are an outbox and a way to register only where the service has them', async (t) => {
  const { page } = await open(t, browser, { outbox: false, registration: 'closed' });
  await page.getByText('Accounts are made by whoever runs this installation.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Create an account' }).isVisible(), false);
  await logIn(page);
  await page.getByRole('heading', { name: 'Your conversions' }).waitFor();
  assert.equal(await page.getByRole('tab').count(), 0);
});

test('older conversions come page by page, and stay while new ones arrive', async (t) => {
  const { page, gateway } = await open(t, browser);
  for (let n = 1; n <= 45; n += 1)
    gateway.conversions.finish(gateway.conversions.add(ANN, { name: `v${String(n)}` }).id);
  await logIn(page);
  const rows = page.locator('#conversions > .row');
  const count = (wanted: number): Promise<true> =>
    eventually(`${String(wanted)} rows`, async () => (await rows.count()) === wanted);
  await count(20);
  await page.getByRole('button', { name: 'Show more' }).click();
  await count(40);
  await choose(page, video('new.mp4'));
  await count(41);
  const { id } = await stored(gateway, 'new.mp4');
  gateway.conversions.finish(id);
  await row(page, 'new.mp4').getByRole('button', { name: 'Play new.mp4' }).waitFor();
  await count(41);
  await page.getByRole('button', { name: 'Show more' }).click();
  await count(46);
  await page.getByRole('button', { name: 'Show more' }).waitFor({ state: 'hidden' });
  const names = await rows.getByRole('heading').allTextContents();
  assert.deepEqual(names, ['new.mp4', ...Array.from({ length: 45 }, (_, n) => `v${String(45 - n)}`)]);
});

test('nothing is wider than a screen of 360 pixels, nor than one of 1400', async (t) => {
  for (const width of [360, 1400]) {
    const { page, gateway } = await open(t, browser, {}, { viewport: { width, height: 800 } });
    const name = `${'a-very-long-name-without-any-space'.repeat(6)}.mp4`;
    gateway.conversions.finish(gateway.conversions.add(ANN, { name }).id, { incomplete: true });
    gateway.conversions.fail(
      gateway.conversions.add(ANN, { name: 'b' }).id,
      'internal.error',
      'x'.repeat(300),
    );
    const fits = async (): Promise<void> => {
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth')) <= width);
    };
    await page.getByLabel('Password').waitFor();
    await fits();
    await logIn(page);
    await row(page, name).getByRole('button', { name: /^Play/ }).click();
    await row(page, name)
      .getByRole('button', { name: /^Pause/ })
      .waitFor();
    await fits();
  }
});
