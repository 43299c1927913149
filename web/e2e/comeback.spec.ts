// What breaks and comes back: a tab, the program, the media server.

import { sleep } from './support/processes';
import { expect, expectVideo, goLive, keepPicture, test, watch } from './support/test';

/** A killed tab says nothing; LiveKit notices it by silence, the viewers' client forgives some of it. */
const SILENCE = 45_000;

test('a reload comes back to the same place without asking', async ({ person, stream }) => {
  const name = await stream();
  const [ann, bob] = [await person(), await person()];
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await bob.reload();
  await expectVideo(bob);
  await expect(bob.locator('[data-count]')).toHaveText('2');
  await ann.reload();
  await expect(ann.getByRole('button', { name: 'Camera', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
  );
  await expectVideo(ann);
  await expectVideo(bob);
  await expect(bob.locator('[data-count]')).toHaveText('2');
  await expect(bob.getByRole('heading', { name: /The host is away/ })).toBeHidden();
});

test("the host's tab is killed: away is shown, and live again when the host returns", async ({
  person,
  stream,
}) => {
  test.setTimeout(150_000);
  const name = await stream();
  const [ann, bob] = [await person(), await person({ mayComplain: /crash/i })];
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  const context = ann.context();
  await ann.goto('chrome://crash').catch(() => undefined);
  await expect(bob.getByRole('heading', { name: 'The host is away' })).toBeVisible({ timeout: SILENCE });
  await keepPicture(bob, 'host-away');
  const again = await context.newPage();
  await goLive(again, name);
  await expectVideo(bob, 30_000);
  await expect(bob.getByRole('heading', { name: 'The host is away' })).toBeHidden();
});

test('a second tab of the same person takes the place of the first', async ({ person, stream }) => {
  const name = await stream();
  const bob = await person();
  await watch(bob, name, 'Bob');
  await expect(bob.getByText('Waiting for the host')).toBeVisible();
  const place = await bob.evaluate((key) => sessionStorage.getItem(key), `livestream.place:${name}`);
  const other = await person();
  await other.addInitScript(
    ([key, value]) => sessionStorage.setItem(key ?? '', value ?? ''),
    [`livestream.place:${name}`, place ?? ''],
  );
  await other.goto(`/room.html?streamId=${name}`);
  await expect(other.getByText('Waiting for the host')).toBeVisible();
  await expect(bob.getByRole('heading', { name: 'You are here in another tab' })).toBeVisible();
  await keepPicture(bob, 'replaced');
});

test('the program is restarted while everybody watches', async ({ person, stream, program }) => {
  test.skip(program.program === null, 'BASE_URL names a program that was started elsewhere');
  test.setTimeout(150_000);
  const name = await stream();
  const [ann, bob, lobby] = [await person(), await person(), await person()];
  await lobby.goto('/');
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await program.program?.stop('SIGTERM');
  await expect(lobby.getByText(/Reconnecting · as of/)).toBeVisible();
  await keepPicture(lobby, 'lobby-reconnecting');
  if (program.mode === 'livekit') {
    await expect(bob.getByText(/Server not reachable since/)).toBeVisible();
    await keepPicture(bob, 'server-away');
    await expectVideo(bob);
  }
  await program.program?.start();
  await expect(bob.getByText(/Server not reachable since/)).toBeHidden({ timeout: 30_000 });
  await expect(lobby.getByText(/Reconnecting/)).toBeHidden({ timeout: 30_000 });
  await expect(bob.locator('.bar .live')).toBeVisible({ timeout: 30_000 });
  await expectVideo(bob, 60_000);
  await expectVideo(ann, 60_000);
  await expect(bob.locator('[data-count]')).toHaveText('2', { timeout: 30_000 });
  await expect(lobby.locator(`[data-stream="${name}"] .live`)).toBeVisible({ timeout: 30_000 });
});

test('LiveKit is stopped by two SIGTERMs and started again while everybody watches', async ({
  person,
  stream,
  program,
}) => {
  test.skip(program.livekit === null, 'there is no LiveKit beside the program');
  test.setTimeout(180_000);
  const name = await stream();
  const [ann, bob] = [await person(), await person()];
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await program.livekit?.stop('SIGTERM', 'SIGTERM');
  await expect(bob.getByRole('heading', { name: 'Reconnecting …' })).toBeVisible({ timeout: 30_000 });
  await keepPicture(bob, 'reconnecting');
  await sleep(2_000);
  await program.livekit?.start();
  await expectVideo(bob, 60_000);
  await expect(ann.getByRole('button', { name: 'Camera', exact: true })).toHaveAttribute(
    'aria-pressed',
    'true',
    { timeout: 30_000 },
  );
  await expect(bob.locator('[data-count]')).toHaveText('2', { timeout: 30_000 });
  await expect(bob.locator('.bar .live')).toBeVisible({ timeout: 30_000 });
});
