// What every browser test is given: the program, people with browsers of their
// own, screenshots, and the certainty that no page complained.

import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  test as base,
  expect,
  type Page,
} from '@playwright/test';
import { type Program, startProgram } from './program';

/** Everything one may do in a test. */
interface Tools {
  /** The servers. */
  program: Program;
  /** A new browser profile with one page. Its console must stay free of errors. */
  person: (options?: PersonOptions) => Promise<Page>;
  /** A stream of a new name, opened through the API. */
  stream: (settings?: Record<string, unknown>) => Promise<string>;
}

/** How somebody's browser is. */
export interface PersonOptions extends BrowserContextOptions {
  /** Errors that the test provokes on purpose. */
  mayComplain?: RegExp;
}

/** The browser's own words about a request that failed; the page says what it means. */
const NETWORK = /Failed to load resource|net::ERR_/;

export const test = base.extend<Pick<Tools, 'person' | 'stream'>, Pick<Tools, 'program'>>({
  program: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixture's needs from the pattern.
    async ({}, use) => {
      const program = await startProgram();
      await use(program);
      await program.stop();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  person: async ({ browser, program }, use) => {
    const people: { page: Page; complaints: string[] }[] = [];
    await use(async (options = {}) => {
      const someone = await newPerson(browser, program.url, options);
      people.push(someone);
      return someone.page;
    });
    for (const { page } of people) await page.context().close();
    expect(people.flatMap(({ complaints }) => complaints)).toEqual([]);
  },
  stream: async ({ program, request }, use) => {
    const opened: string[] = [];
    await use(async (settings = {}) => {
      const name = `test-${Math.random().toString(36).slice(2, 8)}`;
      const answer = await request.post(`${program.url}/streams`, { data: { name, ...settings } });
      expect(answer.status()).toBe(201);
      opened.push(name);
      return name;
    });
    for (const name of opened) await request.delete(`${program.url}/streams/${name}`);
  },
});

async function newPerson(browser: Browser, baseURL: string, options: PersonOptions) {
  const { mayComplain, ...rest } = options;
  const fresh = process.env.PAGES === 'dist';
  // A page that was put in by the test counts as foreign to this machine's addresses.
  const permissions = ['camera', 'microphone', ...(fresh ? ['local-network-access'] : [])];
  const context = await browser.newContext({ baseURL, permissions, ...rest });
  // A small picture: several pages encode and decode on one small machine.
  await context.addInitScript(() => {
    if (location.protocol.startsWith('http') && localStorage.getItem('livestream.size') === null)
      localStorage.setItem('livestream.size', '360');
  });
  if (fresh) await serveFreshPages(context);
  const complaints: string[] = [];
  const heard = (text: string) => {
    if (!NETWORK.test(text) && !(mayComplain?.test(text) ?? false)) complaints.push(text);
  };
  const listen = (page: Page) => {
    page.on('console', (message) => message.type() === 'error' && heard(message.text()));
    page.on('pageerror', (error) => heard(String(error)));
  };
  context.on('page', listen);
  const page = await context.newPage();
  return { page, complaints };
}

/**
 * Serves the pages from `dist`, with the program's own headers: pages that were built after the
 * program can be tested without building it again.
 */
async function serveFreshPages(context: BrowserContext): Promise<void> {
  const dist = resolve(import.meta.dirname, '../../dist');
  const types: Record<string, string> = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
  await context.route(/\/assets\//, (route) => {
    const path = new URL(route.request().url()).pathname;
    return route.fulfill({ path: `${dist}${path}`, contentType: types[path.split('.').at(-1) ?? ''] ?? '' });
  });
  await context.route(/\/(index\.html|room\.html(\?.*)?|docs|embed\/.+)?$/, async (route) => {
    if (route.request().resourceType() !== 'document') return route.fallback();
    const { pathname } = new URL(route.request().url());
    const pages: Record<string, string> = { '/room.html': 'room', '/docs': 'docs' };
    const name = pathname.startsWith('/embed/') ? 'embed' : (pages[pathname] ?? 'index');
    await route.fulfill({ response: await route.fetch(), path: `${dist}/${name}.html` });
  });
}

/** Keeps a picture of a page's state beside the results. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: pictureOf(name), animations: 'disabled' });
}

/** The same without running a script in the page, which counts as a touch of it. */
export async function keepUntouchedPicture(page: Page, name: string): Promise<void> {
  const debug = await page.context().newCDPSession(page);
  const { data } = await debug.send('Page.captureScreenshot');
  writeFileSync(pictureOf(name), Buffer.from(data, 'base64'));
}

/** Waits for a text on the page, likewise without touching it. */
export async function expectUntouchedText(page: Page, text: string): Promise<void> {
  const debug = await page.context().newCDPSession(page);
  const read = { expression: 'document.body.innerText', userGesture: false };
  await expect.poll(async () => (await debug.send('Runtime.evaluate', read)).result.value).toContain(text);
}

function pictureOf(name: string): string {
  const folder = resolve(import.meta.dirname, '../../test-output/pages');
  mkdirSync(folder, { recursive: true });
  return resolve(folder, `${name}.png`);
}

/** Goes live as the host of a stream. */
export async function goLive(page: Page, stream: string, name = 'Ann'): Promise<void> {
  await page.goto(`/room.html?streamId=${encodeURIComponent(stream)}`);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('radio', { name: 'Host' }).check();
  await expect(page.locator('.preview video')).toBeVisible();
  await page.getByRole('button', { name: /Go live|Join on stage/ }).click();
  await expect(page.locator('.bar .live')).toBeVisible();
}

/** Watches a stream. */
export async function watch(page: Page, stream: string, name: string): Promise<void> {
  await page.goto(`/room.html?streamId=${encodeURIComponent(stream)}`);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
}

/** Waits until a picture on the stage moves. */
export async function expectVideo(page: Page, timeout = 15_000): Promise<void> {
  const time = () =>
    page.evaluate(() =>
      Math.max(
        -1,
        ...[...document.querySelectorAll<HTMLVideoElement>('.stage video')].map((video) => video.currentTime),
      ),
    );
  let first = -1;
  await expect(async () => {
    first = await time();
    expect(first).toBeGreaterThan(0);
  }).toPass({ timeout });
  await expect.poll(time, { timeout }).not.toBe(first);
}

/** Waits until a sound track of somebody else is attached. */
export async function expectSound(page: Page): Promise<void> {
  await expect
    .poll(() =>
      page.evaluate(() =>
        [...document.querySelectorAll('audio')].some((audio) =>
          (audio.srcObject as MediaStream | null)
            ?.getAudioTracks()
            .some((track) => track.readyState === 'live'),
        ),
      ),
    )
    .toBe(true);
}

/** Opens a tab of the panel, whether it is open already or not. */
export async function openPanel(page: Page, tab: 'People' | 'Chat'): Promise<void> {
  const open = page.getByRole('tab', { name: new RegExp(`^${tab}`) });
  if (await open.isVisible()) await open.click();
  else
    await page
      .locator('.bar')
      .getByRole('button', { name: new RegExp(`^${tab}`) })
      .click();
}

export { expect };
