// The states and shapes of the pages: told apart, reachable by keyboard, on a
// phone, without barriers, in a frame.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { devices } from '@playwright/test';
import {
  expect,
  expectUntouchedText,
  expectVideo,
  goLive,
  keepPicture,
  keepUntouchedPicture,
  openPanel,
  test,
  watch,
} from './support/test';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that is serious or worse, in words. */
async function barriers(page: Page): Promise<string[]> {
  // Through the debugger, not as a script of the page: its policy allows none.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run();
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return grave.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
  });
}

test('no page has a serious barrier, dark or light', async ({ person, stream }) => {
  test.setTimeout(180_000);
  const name = await stream({ title: 'Open house' });
  const [ann, bob] = [await person(), await person()];
  const found: string[] = [];
  const look = async (page: Page, where: string) => {
    for (const theme of ['dark', 'light']) {
      await page.evaluate((wanted) => {
        document.documentElement.dataset.theme = wanted;
      }, theme);
      await page.waitForTimeout(800);
      found.push(...(await barriers(page)).map((text) => `${where}, ${theme}: ${text}`));
      if (theme === 'light' && where.startsWith('room'))
        await keepPicture(page, `${where.replaceAll(' ', '-')}-light`);
    }
  };
  await bob.goto('/');
  await expect(bob.locator('.card').first()).toBeVisible();
  await look(bob, 'lobby');
  await bob.getByRole('button', { name: 'New stream' }).first().click();
  await look(bob, 'create');
  await bob.goto('/room.html?streamId=nobody-made-this');
  await expect(bob.getByRole('heading', { name: 'This stream does not exist' })).toBeVisible();
  await keepPicture(bob, 'not-found');
  await look(bob, 'missing');
  await goLive(ann, name);
  await bob.goto(`/room.html?streamId=${name}`);
  await look(bob, 'door');
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await look(bob, 'room of a viewer');
  await bob.getByRole('button', { name: 'Raise hand' }).click();
  await openPanel(ann, 'People');
  await expect(ann.getByRole('region', { name: 'They want to speak' })).toBeVisible();
  await look(ann, 'room of a host');
  await ann.getByRole('button', { name: 'End for everyone' }).click();
  await look(ann, 'end dialog');
  await ann.getByRole('dialog').getByRole('button', { name: 'End for everyone' }).click();
  await expect(ann.getByRole('heading', { name: /is over/ })).toBeVisible();
  await look(ann, 'summary');
  expect(found).toEqual([]);
});

test('the API reference: whole, searchable, without barriers, asking nobody else', async ({
  person,
  program,
}) => {
  const page = await person();
  const elsewhere: string[] = [];
  page.on('request', (sent) => {
    if (!sent.url().startsWith(program.url)) elsewhere.push(sent.url());
  });
  await page.goto('/');
  await page.getByRole('link', { name: 'API reference' }).click();
  await expect(page.getByRole('heading', { name: 'Livestream Orchestrator' })).toBeVisible();
  await expect(page.locator('#create_stream')).toContainText('curl -X POST');
  await keepPicture(page, 'docs');
  const found: string[] = [];
  for (const theme of ['dark', 'light']) {
    await page.evaluate((wanted) => {
      document.documentElement.dataset.theme = wanted;
    }, theme);
    found.push(...(await barriers(page)).map((text) => `${theme}: ${text}`));
  }
  expect(found).toEqual([]);
  await page.getByRole('searchbox').fill('mute');
  await expect(page.locator('article.entry').first()).toHaveAttribute('id', 'mute_participant');
  await page.goto('/docs#problem-stream_full');
  await expect(page.locator('#problem-stream_full')).toBeInViewport();
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  await keepPicture(page, 'phone-docs');
  expect(elsewhere).toEqual([]);
});

test('everything by keyboard alone', async ({ person }) => {
  const page = await person();
  const name = `keys-${Date.now().toString(36)}`;
  /** Tabs until `name` has the focus. */
  const reach = async (role: 'button' | 'textbox' | 'radio' | 'tab', label: string | RegExp) => {
    const wanted = page.getByRole(role, { name: label, exact: true }).first();
    await expect(wanted).toBeVisible();
    for (let step = 0; step < 40; step += 1) {
      if (await wanted.evaluate((element) => element === document.activeElement)) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`${label} cannot be reached by Tab`);
  };
  await page.goto('/');
  await reach('button', 'New stream');
  await page.keyboard.press('Enter');
  await page.keyboard.type(name);
  await page.keyboard.press('Enter');
  await page.waitForURL(/room\.html/);
  await expect(page.locator('.preview video')).toBeVisible();
  await reach('textbox', 'Your name');
  await page.keyboard.type('Kay');
  await page.keyboard.press('Enter');
  await expect(page.locator('.bar .live')).toBeVisible();
  await reach('button', 'Microphone');
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Microphone', exact: true })).toHaveAttribute(
    'aria-pressed',
    'false',
  );
  await reach('button', 'Quality');
  await page.keyboard.press('Enter');
  await page.keyboard.press('ArrowDown');
  await keepPicture(page, 'quality-menu');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menu')).toHaveCount(0);
  await reach('tab', /People/);
  await page.keyboard.press('ArrowRight');
  await expect(page.getByRole('tab', { name: 'Chat' })).toBeFocused();
  await reach('textbox', 'Message');
  await page.keyboard.type('hello');
  await page.keyboard.press('Enter');
  await expect(page.locator('.chat-text')).toHaveText('hello');
  await page.getByRole('button', { name: 'Microphone', exact: true }).focus();
  await reach('button', 'End for everyone');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'End for everyone' })).toBeFocused();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: /is over/ })).toBeVisible();
});

test('a phone: the panel is a sheet, nothing is wider than the screen', async ({ person, stream }) => {
  const name = await stream({ title: 'A stream with quite a long title for a phone' });
  const { defaultBrowserType: _, ...phone } = devices['iPhone 13'] ?? {};
  const [ann, bob] = [await person({ ...phone }), await person({ ...phone })];
  const fits = async (page: Page) => {
    const [wide, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      window.innerWidth,
    ]);
    expect(wide).toBeLessThanOrEqual(screen ?? 0);
  };
  await bob.goto('/');
  await expect(bob.locator('.card').first()).toBeVisible();
  await fits(bob);
  await keepPicture(bob, 'phone-lobby');
  await ann.goto(`/room.html?streamId=${name}`);
  await ann.getByRole('radio', { name: 'Host' }).check();
  await expect(ann.locator('.preview video')).toBeVisible();
  await fits(ann);
  await keepPicture(ann, 'phone-prejoin');
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await fits(bob);
  await keepPicture(bob, 'phone-viewer');
  await openPanel(bob, 'Chat');
  await bob.getByRole('textbox', { name: 'Message' }).fill('Hello from the train');
  await bob.getByRole('button', { name: 'Send' }).click();
  await expect(bob.locator('.chat-text')).toHaveText('Hello from the train');
  await fits(bob);
  await keepPicture(bob, 'phone-chat');
  await fits(ann);
  await keepPicture(ann, 'phone-host');
});

test('eight tabs of one stream in one browser share one event stream', async ({
  person,
  stream,
  request,
  program,
}) => {
  const name = await stream();
  const first = await person();
  const tabs = [first];
  while (tabs.length < 8) tabs.push(await first.context().newPage());
  let connections = 0;
  for (const tab of tabs) {
    tab.on('request', (sent) => {
      if (sent.url().includes('/updates')) connections += 1;
    });
    await tab.goto(`/room.html?streamId=${name}`);
    await expect(tab.getByRole('button', { name: 'Watch', exact: true })).toBeVisible();
  }
  expect(connections).toBe(1);
  await tabs[0]?.close();
  await request.delete(`${program.url}/streams/${name}`);
  for (const tab of tabs.slice(1))
    await expect(tab.getByRole('heading', { name: 'This stream has ended' })).toBeVisible();
});

test('no camera or no permission is said in words', async ({ person, stream }) => {
  const name = await stream();
  const page = await person();
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException('denied', 'NotAllowedError');
    };
  });
  await page.goto(`/room.html?streamId=${name}`);
  await page.getByRole('radio', { name: 'Host' }).check();
  await expect(
    page.getByText('The browser does not let this page use the camera and microphone.'),
  ).toBeVisible();
  await keepPicture(page, 'permission-denied');
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException('none', 'NotFoundError');
    };
  });
  await page.reload();
  await page.getByRole('radio', { name: 'Host' }).check();
  await expect(page.getByText('No camera and microphone was found.')).toBeVisible();
  await page.getByRole('button', { name: 'Go live' }).click();
  await expect(page.getByRole('heading', { name: 'You are not live yet' })).toBeVisible();
  await keepPicture(page, 'host-not-live');
});

test('a stream in a frame of another page', async ({ person, stream }) => {
  const name = await stream({ title: 'Framed' });
  const [ann, bob] = [await person(), await person()];
  await goLive(ann, name);
  await bob.goto(`/embed/${name}`);
  await expectVideo(bob);
  await expect(bob.locator('.embed-title')).toHaveText('Framed');
  await keepPicture(bob, 'embed');
});

test('sound that the browser keeps back is asked for', async ({ stream, person }) => {
  const name = await stream();
  const ann = await person();
  await goLive(ann, name);
  const bob = await person();
  // An embed joins without a touch, so the browser's own rule applies.
  await bob.goto(`/embed/${name}`);
  await expectUntouchedText(bob, 'Tap for sound');
  await keepUntouchedPicture(bob, 'tap-for-sound');
  const button = bob.getByRole('button', { name: 'Tap for sound' });
  await button.click();
  await expect(button).toBeHidden();
  await expectVideo(bob);
  expect(
    await bob.evaluate(() => [...document.querySelectorAll('audio')].every((audio) => !audio.paused)),
  ).toBe(true);
});
