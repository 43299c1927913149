// With AUTH=keys: who has a key opens, hosts and ends; who has none watches,
// asks to speak, and may speak when the host lets them.

import { createHash } from 'node:crypto';
import { type Program, startProgram } from './support/program';
import { expect, expectVideo, keepPicture, openPanel, test, watch } from './support/test';

const KEY = 'an-admin-key-of-the-browser-tests';
const READ = 'a-read-key-of-the-browser-tests';
const hash = (key: string) => createHash('sha256').update(key).digest('hex');
const API_KEYS = `boss:admin:${hash(KEY)},looker:read:${hash(READ)}`;

let keyed: Program;

test.beforeAll(async () => {
  keyed = await startProgram({ AUTH: 'keys', API_KEYS });
});

test.afterAll(async () => {
  await keyed.stop();
});

test('sign in with a key, host with it, speak without one', async ({ person, program }) => {
  test.skip(program.mode === 'given', 'BASE_URL names a program that was started elsewhere');
  test.setTimeout(150_000);
  const [ann, bob] = [await person({ baseURL: keyed.url }), await person({ baseURL: keyed.url })];
  const name = `keyed-${Date.now().toString(36)}`;

  await ann.goto('/');
  await ann.getByRole('button', { name: 'New stream' }).first().click();
  await ann.getByLabel('Name', { exact: true }).fill(name);
  await ann.keyboard.press('Enter');
  await expect(ann.getByText('Opening a stream here needs a key.')).toBeVisible();
  await keepPicture(ann, 'sign-in');
  await ann.getByLabel('Key', { exact: true }).fill(READ);
  await ann.keyboard.press('Enter');
  await expect(ann.getByText('This key may look, but not open streams.')).toBeVisible();
  await ann.getByRole('button', { name: 'Close' }).click();
  await ann.getByRole('button', { name: 'Sign in with a key' }).click();
  await ann.getByLabel('Key', { exact: true }).fill(KEY);
  await ann.keyboard.press('Enter');
  await ann.getByRole('button', { name: 'New stream' }).first().click();
  await ann.getByLabel('Name', { exact: true }).fill(name);
  await ann.keyboard.press('Enter');
  await ann.waitForURL(/room\.html/);
  await ann.getByLabel('Your name').fill('Ann');
  await expect(ann.locator('.preview video')).toBeVisible();
  await ann.getByRole('button', { name: 'Go live' }).click();
  await expect(ann.locator('.bar .live')).toBeVisible();

  await bob.goto(`/room.html?streamId=${name}`);
  await bob.getByRole('radio', { name: 'Host' }).check();
  await bob.getByRole('button', { name: /Go live|Join on stage/ }).click();
  await expect(bob.getByText('Hosting and speaking here needs a key.')).toBeVisible();
  await keepPicture(bob, 'needs-a-key');
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await bob.getByRole('button', { name: 'Raise hand' }).click();
  await openPanel(ann, 'People');
  await ann.getByRole('button', { name: 'Let speak, Bob' }).click();
  await bob.getByRole('button', { name: 'Camera', exact: true }).click();
  await expect(ann.locator('.stage .tile video')).toHaveCount(2);

  // Without a key, the join token proves who Bob is, and the server knows what the host made of him.
  await bob.reload();
  await expect(bob.getByRole('button', { name: 'Camera', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
    { timeout: 20_000 },
  );
  await expect(ann.locator('[data-count]')).toHaveText('2');

  await ann.getByRole('button', { name: 'End for everyone' }).click();
  await ann.getByRole('dialog').getByRole('button', { name: 'End for everyone' }).click();
  await expect(bob.getByRole('heading', { name: 'This stream has ended' })).toBeVisible();
});

test('a key that is not known is said to be so', async ({ person, program, request }) => {
  test.skip(program.mode === 'given', 'BASE_URL names a program that was started elsewhere');
  const name = `unknown-${Date.now().toString(36)}`;
  await request.post(`${keyed.url}/streams`, { data: { name }, headers: { authorization: `Bearer ${KEY}` } });
  const bob = await person({ baseURL: keyed.url });
  await bob.addInitScript(() => sessionStorage.setItem('livestream.key', '"no-such-key"'));
  await watch(bob, name, 'Bob');
  await expect(bob.getByText('The key you signed in with is not known here.')).toBeVisible();
  await bob.getByRole('button', { name: 'Sign in with a key' }).click();
  await expect(bob.getByRole('button', { name: 'Sign out' })).toBeVisible();
});
