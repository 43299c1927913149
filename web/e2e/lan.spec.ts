// `livestream --lan`: a phone on the local network watches, over the machine's own address, by HTTPS with a
// certificate that nobody vouches for.

import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { devices } from '@playwright/test';
import { freePort, freeUdpPort, Server } from './support/processes';
import { binary } from './support/program';
import { expect, expectVideo, keepPicture, test, watch } from './support/test';

/** An address of this machine that others may reach. */
const ADDRESS = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(
    ({ family, internal, address }) => family === 'IPv4' && !internal && !address.startsWith('169.254.'),
  )?.address;

let server: Server;
let url: string;
let key: string;

test.beforeAll(async () => {
  test.skip(process.env.MODE !== 'embedded', 'with a LiveKit elsewhere there is nothing to show around');
  test.skip(ADDRESS === undefined, 'this machine is on no network');
  const folder = mkdtempSync(join(tmpdir(), 'livestream-lan-'));
  const logs = resolve(import.meta.dirname, '../test-output');
  mkdirSync(logs, { recursive: true });
  const port = await freePort();
  const data = join(folder, 'data');
  const env = {
    PORT: String(port),
    DATA_DIR: data,
    RATE_LIMIT: 'off',
    MEDIA_PORT: String(await freePort()),
    MEDIA_UDP_PORT: String(await freeUdpPort()),
  };
  // Who asks by HTTP is sent to HTTPS: that it does so says that it is up.
  const ready = async () => (await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' })).status === 308;
  server = new Server(binary(), ['--lan'], env, folder, ready, join(logs, 'livestream-lan.log'));
  await server.start();
  url = `https://${ADDRESS}:${port}`;
  key = readFileSync(join(data, 'lan/admin-key'), 'utf8');
});

test.afterAll(async () => {
  await server?.stop('SIGKILL');
});

test('a phone on the network watches and talks', async ({ person }) => {
  const { defaultBrowserType: _, ...phone } = devices['iPhone 13'] ?? {};
  const lan = { baseURL: url, ignoreHTTPSErrors: true };
  const [ann, bob] = [await person(lan), await person({ ...lan, ...phone })];
  await ann.addInitScript((given) => sessionStorage.setItem('livestream.key', JSON.stringify(given)), key);
  await ann.goto('/');
  await ann.getByRole('button', { name: 'New stream' }).first().click();
  await ann.getByLabel('Name', { exact: true }).fill('living-room');
  await ann.keyboard.press('Enter');
  await ann.waitForURL(/room\.html/);
  await ann.getByLabel('Your name').fill('Ann');
  await expect(ann.locator('.preview video')).toBeVisible();
  await ann.getByRole('button', { name: 'Go live' }).click();
  await expect(ann.locator('.bar .live')).toBeVisible();

  expect(await bob.goto('/')).toBeTruthy();
  await expect(bob.locator('.card').first()).toContainText('living-room');
  expect(await bob.evaluate(() => [isSecureContext, location.hostname])).toEqual([true, ADDRESS]);
  await watch(bob, 'living-room', 'Bob');
  await expectVideo(bob);
  await keepPicture(bob, 'lan-phone');
  await bob.getByRole('button', { name: 'Raise hand' }).click();
  await expect(ann.locator('[data-count]')).toHaveText('2');
});
