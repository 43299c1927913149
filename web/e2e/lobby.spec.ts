// The lobby: what it shows, at once and as text.

import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';
import { expect, keepPicture, test } from './support/test';

/** A name that would run, were it ever taken for HTML. */
const HOSTILE = `"><img src=x onerror=alert(1)> ${Date.now().toString(36)}`;

test('streams come, change and go without a reload, within a second', async ({
  person,
  request,
  program,
  stream,
}) => {
  const page = await person();
  await page.goto('/');
  const name = await stream({ title: 'Team stand-up' });
  const card = page.locator(`[data-stream="${name}"]`);
  await expect(card).toContainText('waiting for the host', { timeout: 1_000 });
  await expect(card).toContainText('Team stand-up');
  await page.getByRole('searchbox').fill('stand-up');
  await expect(card).toBeVisible();
  await page.getByRole('searchbox').fill('nothing of the kind');
  await expect(page.getByText('No stream matches')).toBeVisible();
  await page.getByRole('searchbox').fill('');
  await keepPicture(page, 'lobby');
  await request.delete(`${program.url}/streams/${name}`);
  await expect(card).toContainText('The host ended it.', { timeout: 1_500 });
});

test('what was on is told under "Ended", also when its record has gone', async ({
  person,
  request,
  program,
  stream,
}) => {
  const on = await stream({ title: 'Still on' });
  const ended: string[] = [];
  for (let at = 1; at <= 14; at += 1) {
    const name = await stream({ title: `Talk ${at}` });
    await request.delete(`${program.url}/streams/${name}`);
    ended.push(name);
  }
  const hidden = await stream({ title: 'Not for the list', visibility: 'unlisted' });
  await request.delete(`${program.url}/streams/${hidden}`);
  const page = await person();
  // As if the records had gone: the lobby tells of active streams alone.
  await page.route('**/sse/streams*', async (route) => {
    const answer = await request.get(`${program.url}/streams?status=active&limit=100`);
    const streams = (await answer.json()) as unknown[];
    const data = JSON.stringify({ streams, total: streams.length });
    await route.fulfill({ contentType: 'text/event-stream', body: `event: snapshot\ndata: ${data}\n\n` });
  });
  await page.goto('/');
  const section = page.getByRole('region', { name: 'Ended' });
  const cards = section.locator('[data-past]');
  await expect(cards.first()).toContainText('The host ended it.');
  await expect(cards.first()).toContainText('It was on for');
  expect(await cards.evaluateAll((all) => all.map((card) => card.getAttribute('data-past')))).toEqual(
    ended.toReversed().slice(0, 12),
  );
  await expect(section.getByRole('link')).toHaveCount(0);
  await expect(page.locator(`[data-stream="${on}"]`)).toBeVisible();
  await keepPicture(page, 'lobby-ended');
  await section.getByRole('button', { name: 'Show earlier ones' }).click();
  await expect(section.locator(`[data-past="${ended[0]}"]`)).toBeVisible();
  await expect(page.getByText('Not for the list')).toHaveCount(0);
  await page.getByRole('searchbox').fill('talk 13');
  await expect(cards).toHaveCount(1);
  await expect(cards).toContainText('Talk 13');
});

test('a hostile name is text everywhere', async ({ person, request, program }) => {
  const page = await person();
  page.on('dialog', (dialog) => void dialog.dismiss().then(() => expect(dialog.message()).toBe('no dialog')));
  await page.goto('/');
  await page.getByRole('button', { name: 'New stream' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill(HOSTILE);
  await page.getByLabel('Title').fill(`${HOSTILE} title`);
  await page.getByRole('button', { name: 'Create' }).click();
  await page.waitForURL(/room\.html/);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`${HOSTILE} title`);
  await page.getByLabel('Your name').fill(HOSTILE);
  await page.getByRole('button', { name: 'Go live' }).click();
  await expect(page.locator('.bar .live')).toBeVisible();
  await expect(page.locator('.person-name').first()).toHaveText(`${HOSTILE} (you)`);
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  await expect(page.getByLabel('Link to watch')).toHaveValue(
    `${program.url}/room.html?streamId=${encodeURIComponent(HOSTILE)}`,
  );
  await keepPicture(page, 'hostile-name');
  await page.goto('/');
  await expect(page.locator('.card-title', { hasText: HOSTILE })).toBeVisible();
  await page.goto(`/embed/${encodeURIComponent(HOSTILE)}`);
  await expect(page.locator('.embed-title')).toHaveText(`${HOSTILE} title`);
  expect(await page.locator('img').count()).toBe(0);
  await request.delete(`${program.url}/streams/${encodeURIComponent(HOSTILE)}`);
});

test('a name that is on already leads there', async ({ person, stream }) => {
  const name = await stream();
  const page = await person();
  await page.goto('/');
  await page.getByRole('button', { name: 'New stream' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Go there' }).click();
  await expect(page.getByRole('button', { name: 'Watch', exact: true })).toBeVisible();
});

test('light colours are kept', async ({ person, stream }) => {
  await stream({ title: 'By daylight' });
  const page = await person();
  await page.goto('/');
  await page.getByRole('button', { name: 'Light colours' }).click();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await expect(page.locator('.card').first()).toBeVisible();
  await keepPicture(page, 'lobby-light');
});

test('five hundred streams stay smooth', async ({ person, request, program }) => {
  test.skip(
    program.mode === 'given' && process.env.MANY !== '1',
    'fills the given program with streams; set MANY=1',
  );
  const names = Array.from({ length: 500 }, (_, at) => `many-${at}`);
  for (let at = 0; at < names.length; at += 25) {
    await Promise.all(
      names.slice(at, at + 25).map((name) => request.post(`${program.url}/streams`, { data: { name } })),
    );
  }
  const page = await person();
  await page.goto('/');
  await page.getByRole('button', { name: 'Show more' }).click();
  await expect.poll(() => page.locator('.card').count()).toBeGreaterThanOrEqual(500);
  const slowest = await page.evaluate(async () => {
    let worst = 0;
    for (let step = 0; step < 40; step += 1) {
      const began = performance.now();
      window.scrollBy(0, 400);
      document.body.getBoundingClientRect();
      await new Promise(requestAnimationFrame);
      worst = Math.max(worst, performance.now() - began);
    }
    return worst;
  });
  test.info().annotations.push({ type: 'slowest scrolled frame', description: `${Math.round(slowest)} ms` });
  for (let at = 0; at < names.length; at += 25) {
    await Promise.all(
      names.slice(at, at + 25).map((name) => request.delete(`${program.url}/streams/${name}`)),
    );
  }
});

/** Kibibytes of script, compressed, that an address loads before anybody touches it. */
async function scriptSize(page: Page, address: string): Promise<number> {
  const bodies: Promise<Buffer>[] = [];
  page.on('response', (response) => {
    if (response.url().endsWith('.js')) bodies.push(response.body());
  });
  await page.goto(address);
  await expect(page.getByRole('heading', { level: 1 })).not.toHaveText('Connecting …');
  const sizes = (await Promise.all(bodies)).map((body) => gzipSync(body).length);
  return sizes.reduce((sum, size) => sum + size, 0) / 1024;
}

test('the first load stays small, and the lobby has nothing of LiveKit', async ({ person, stream }) => {
  const name = await stream();
  const lobby = await scriptSize(await person(), '/index.html');
  const room = await scriptSize(await person(), `/room.html?streamId=${name}`);
  test.info().annotations.push({
    type: 'script, compressed',
    description: `lobby ${lobby.toFixed(0)} KiB, room ${room.toFixed(0)} KiB`,
  });
  expect(room).toBeGreaterThan(150);
  expect(room).toBeLessThan(400);
  // LiveKit's client alone is larger.
  expect(lobby).toBeLessThan(110);
});
