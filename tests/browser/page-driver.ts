import type { TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { eventually } from '../support/eventually.ts';
import { openPage, type OpenPage } from './browser.ts';
import type { FakeConversion } from './fake-conversions.ts';
import { startFakeGateway, type FakeGateway, type FakeOptions } from './fake-gateway.ts';

export const ANN = 'ann@example.com';
export const PASSWORD = 'a good password';

export interface Opened extends OpenPage {
  readonly gateway: FakeGateway;
}

/** The page of a gateway of its own, in which Ann has an account. */
export async function open(
  t: TestContext,
  browser: Browser,
  options: FakeOptions = {},
  looks: BrowserContextOptions = {},
): Promise<Opened> {
  const gateway = await startFakeGateway(options);
  t.after(() => gateway.close());
  gateway.accounts.set(ANN, PASSWORD);
  const opened = await openPage(t, browser, gateway.url, looks);
  return { ...opened, gateway };
}

export async function logIn(page: Page, password = PASSWORD): Promise<void> {
  await page.getByLabel('E-mail address').fill(ANN);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
}

export async function openLoggedIn(
  t: TestContext,
  browser: Browser,
  options: FakeOptions = {},
): Promise<Opened> {
  const opened = await open(t, browser, options);
  await logIn(opened.page);
  await opened.page.getByText('Quiet so far').waitFor();
  return opened;
}

export const video = (name: string, bytes = 2000): { name: string; mimeType: string; buffer: Buffer } => ({
  name,
  mimeType: 'video/mp4',
  buffer: Buffer.alloc(bytes, 1),
});

export const choose = (page: Page, ...files: ReturnType<typeof video>[]): Promise<void> =>
  page.locator('#files').setInputFiles(files);

/** The row, among uploads and conversions, that has this name. */
export const row = (page: Page, name: string): Locator =>
  page.locator('.row').filter({ has: page.getByRole('heading', { name, exact: true }) });

export const stored = (gateway: FakeGateway, name: string): Promise<FakeConversion> =>
  eventually(`${name} is stored`, () => {
    const conversion = gateway.conversions.named(ANN, name);
    return conversion.state === 'queued' && conversion;
  });
