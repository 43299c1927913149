// What lets people in without a key of the server's: host keys, invites, visibility, bans.

import type { Page } from '@playwright/test';
import { type Program, startProgram } from './support/program';
import { expect, expectVideo, keepPicture, openPanel, test, watch } from './support/test';

/** The hash of a key that nobody in these tests has. */
const NOBODYS = '0'.repeat(64);

let open: Program;

test.beforeAll(async () => {
  open = await startProgram({ AUTH: 'keys', OPEN_CREATE: 'on', API_KEYS: `boss:admin:${NOBODYS}` });
});

test.afterAll(async () => {
  await open.stop();
});

test.beforeEach(({ program }) => {
  test.skip(program.mode === 'given', 'BASE_URL names a program that was started elsewhere');
  test.setTimeout(150_000);
});

/** Opens a stream from the lobby and goes live; its name. */
async function openStream(page: Page, visibility: 'Everybody' | 'With the link' | 'Invited only') {
  const name = `${visibility.split(' ')[0]?.toLowerCase()}-${Date.now().toString(36)}`;
  await page.goto('/');
  await page.getByRole('button', { name: 'New stream' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('group', { name: 'Who finds it' }).getByLabel(visibility).check();
  await page.getByRole('button', { name: 'Create' }).click();
  await page.waitForURL(/room\.html/);
  await page.getByLabel('Your name').fill('Ann');
  await expect(page.locator('.preview video')).toBeVisible();
  await page.getByRole('button', { name: 'Go live' }).click();
  await expect(page.locator('.bar .live')).toBeVisible();
  return name;
}

/** A link from the dialog "Share". */
async function sharedLink(page: Page, label: RegExp, make?: string): Promise<string> {
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  if (make !== undefined) await page.getByRole('button', { name: make }).click();
  const link = await page.getByLabel(label).inputValue();
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  return link;
}

test('a private stream is seen by whoever was invited, and led by whoever has its host key', async ({
  person,
}) => {
  const at = { baseURL: open.url };
  const [ann, bob, cleo] = [await person(at), await person(at), await person(at)];
  const name = await openStream(ann, 'Invited only');

  // Who knows no more than the name finds nothing there, as with a name that never was.
  await bob.goto('/');
  await expect(bob.getByRole('button', { name: 'New stream' }).first()).toBeVisible();
  await expect(bob.locator(`[data-stream="${name}"]`)).toHaveCount(0);
  await bob.goto(`/room.html?streamId=${name}`);
  await expect(bob.locator('body')).toContainText('does not exist');
  await keepPicture(bob, 'private-to-strangers');

  const invite = await sharedLink(ann, /^Invite, good for a day/, 'Invite to watch');
  expect(invite).toContain('#invite=lsi_');
  await bob.goto(invite);
  await bob.getByLabel('Your name').fill('Bob');
  await bob.getByRole('button', { name: 'Watch', exact: true }).click();
  await expectVideo(bob);
  expect(bob.url()).not.toContain('lsi_');

  // The browser that opened it keeps the key, in other tabs and after a reload.
  const tab = await ann.context().newPage();
  await tab.goto(`/room.html?streamId=${name}`);
  await expect(tab.getByRole('radio', { name: 'Host' })).toBeVisible();
  await tab.close();
  const link = await sharedLink(ann, /^Link for another host/);
  expect(link).toContain('#hostKey=lsh_');
  await cleo.goto(link);
  expect(cleo.url()).not.toContain('lsh_');
  await cleo.getByLabel('Your name').fill('Cleo');
  await cleo.getByRole('radio', { name: 'Host' }).check();
  await expect(cleo.locator('.preview video')).toBeVisible();
  await cleo.getByRole('button', { name: 'Join on stage' }).click();
  await expect(bob.locator('.stage .tile video')).toHaveCount(2);
  await cleo.getByRole('button', { name: 'End for everyone' }).click();
  await cleo.getByRole('dialog').getByRole('button', { name: 'End for everyone' }).click();
  await expect(bob.getByRole('heading', { name: 'This stream has ended' })).toBeVisible();
});

test('an unlisted stream is in no list, and whoever has the link watches', async ({ person }) => {
  const [ann, bob] = [await person({ baseURL: open.url }), await person({ baseURL: open.url })];
  await bob.goto('/');
  const name = await openStream(ann, 'With the link');
  const listed = await openStream(await person({ baseURL: open.url }), 'Everybody');
  await expect(bob.locator(`[data-stream="${listed}"]`)).toBeVisible();
  await expect(bob.locator(`[data-stream="${name}"]`)).toHaveCount(0);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
});

test('whoever is banned is out, stays out, and comes back when the ban is lifted', async ({ person }) => {
  const [ann, bob] = [await person({ baseURL: open.url }), await person({ baseURL: open.url })];
  const name = await openStream(ann, 'Everybody');
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await openPanel(ann, 'People');
  await ann.getByRole('button', { name: 'Actions for Bob' }).click();
  await ann.getByRole('menuitem', { name: 'Ban for a day' }).click();
  await expect(bob.locator('.stage video')).toHaveCount(0);
  await keepPicture(bob, 'banned');
  await bob.reload();
  await bob.getByRole('button', { name: 'Watch', exact: true }).click();
  await expect(bob.getByText('You are banned from this stream.')).toBeVisible();

  await ann.getByRole('button', { name: 'Banned people' }).click();
  await expect(ann.getByRole('dialog')).toContainText('Bob-');
  await keepPicture(ann, 'banned-people');
  await ann.getByRole('button', { name: /^Let in again, Bob-/ }).click();
  await expect(ann.getByText('Nobody is banned.')).toBeVisible();
  await bob.getByRole('button', { name: 'Watch', exact: true }).click();
  await expectVideo(bob);
});
