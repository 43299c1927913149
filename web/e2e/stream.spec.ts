// One stream from beginning to end: a host, two who watch, one in the lobby.

import {
  expect,
  expectSound,
  expectVideo,
  goLive,
  keepPicture,
  openPanel,
  test,
  watch,
} from './support/test';

test('create, go live, watch, talk, ask to speak, promote, mute, remove, end', async ({ person }) => {
  const [ann, bob, cleo, lobby] = [await person(), await person(), await person(), await person()];
  const name = `demo-${Date.now().toString(36)}`;

  await lobby.goto('/');
  await ann.goto('/');
  await ann.getByRole('button', { name: 'New stream' }).first().click();
  await ann.getByLabel('Name', { exact: true }).fill(name);
  await ann.getByLabel('Title').fill('Friday demo');
  await keepPicture(ann, 'create');
  await ann.keyboard.press('Enter');
  await ann.waitForURL(/room\.html/);
  const card = lobby.locator(`[data-stream="${name}"]`);
  await expect(card).toContainText('waiting for the host', { timeout: 1_000 });

  await ann.getByLabel('Your name').fill('Ann');
  await expect(ann.locator('.preview video')).toBeVisible();
  await keepPicture(ann, 'prejoin-host');
  const clicked = Date.now();
  await ann.getByRole('button', { name: 'Go live' }).click();
  await expect(ann.locator('.bar .live')).toBeVisible();
  await expect(card.locator('.live')).toBeVisible({ timeout: 5_000 });
  await expectVideo(ann);
  test.info().annotations.push({ type: 'host: click to live', description: `${Date.now() - clicked} ms` });

  await bob.goto(`/room.html?streamId=${name}`);
  await bob.getByLabel('Your name').fill('Bob');
  await keepPicture(bob, 'prejoin-viewer');
  const joined = Date.now();
  await bob.getByRole('button', { name: 'Watch', exact: true }).click();
  await expectVideo(bob);
  test
    .info()
    .annotations.push({ type: 'viewer: click to moving picture', description: `${Date.now() - joined} ms` });
  await expectSound(bob);
  await watch(cleo, name, 'Cleo');
  await expectVideo(cleo);
  await expect(bob.locator('[data-count]')).toHaveText('3');
  await expect(card.locator('.card-count')).toContainText('3');

  await openPanel(bob, 'Chat');
  await bob.getByRole('textbox', { name: 'Message' }).fill('Hello <b>Ann</b>');
  await bob.keyboard.press('Enter');
  await openPanel(ann, 'Chat');
  await expect(ann.locator('.chat-text')).toHaveText('Hello <b>Ann</b>');
  await ann.getByRole('textbox', { name: 'Message' }).fill('Hello Bob');
  await ann.getByRole('button', { name: 'Send' }).click();
  await expect(bob.getByRole('log', { name: 'Messages' })).toContainText('Hello Bob');
  await bob.getByRole('button', { name: 'Heart' }).click();
  await expect(ann.locator('.reaction').first()).toBeAttached();
  await keepPicture(bob, 'viewer-watching');

  await bob.getByRole('button', { name: 'Raise hand' }).click();
  await openPanel(ann, 'People');
  const asking = ann.getByRole('region', { name: 'They want to speak' });
  await expect(asking).toContainText('Bob');
  await keepPicture(ann, 'host-live');
  await asking.getByRole('button', { name: 'Let speak, Bob' }).click();
  await expect(bob.getByRole('button', { name: 'Microphone', exact: true })).toBeVisible();
  await expect(asking).toBeHidden();

  await bob.getByRole('button', { name: 'Microphone', exact: true }).click();
  await bob.getByRole('button', { name: 'Camera', exact: true }).click();
  await expect(ann.locator('.stage .tile video')).toHaveCount(2);
  await expect
    .poll(() =>
      ann.evaluate(() =>
        [...document.querySelectorAll<HTMLVideoElement>('.stage video')].every(
          (video) => video.videoWidth > 0,
        ),
      ),
    )
    .toBe(true);
  await keepPicture(ann, 'two-on-stage');
  const row = ann.locator('.person', { hasText: 'Bob' });
  await expect(row.getByText('Microphone on')).toBeAttached();
  await row.getByRole('button', { name: 'Actions for Bob' }).click();
  await keepPicture(ann, 'person-menu');
  await ann.getByRole('menuitem', { name: 'Mute' }).click();
  await expect(row.getByText('Microphone off')).toBeAttached();
  await expect(bob.getByRole('button', { name: 'Microphone', exact: true })).toHaveAttribute(
    'aria-pressed',
    'false',
  );

  await row.getByRole('button', { name: 'Actions for Bob' }).click();
  await ann.getByRole('menuitem', { name: 'Make viewer' }).click();
  await expect(bob.getByRole('button', { name: 'Raise hand' })).toBeVisible();
  await expect(ann.locator('.stage .tile video')).toHaveCount(1);

  await row.getByRole('button', { name: 'Actions for Bob' }).click();
  await ann.getByRole('menuitem', { name: 'Remove' }).click();
  await expect(bob.getByRole('heading', { name: 'You were removed' })).toBeVisible();
  await keepPicture(bob, 'removed');
  await expect(ann.locator('[data-count]')).toHaveText('2');

  await ann.getByRole('button', { name: 'Change title and settings' }).click();
  await ann.getByLabel('Title', { exact: true }).fill('Saturday demo');
  await keepPicture(ann, 'settings');
  await ann.getByRole('button', { name: 'Save' }).click();
  await expect(cleo.getByRole('heading', { level: 1 })).toHaveText('Saturday demo');
  await expect(card).toContainText('Saturday demo', { timeout: 2_000 });

  await ann.getByRole('button', { name: 'End for everyone' }).click();
  await keepPicture(ann, 'end-confirm');
  await ann.getByRole('dialog').getByRole('button', { name: 'End for everyone' }).click();
  await expect(ann.getByRole('heading', { name: '“Saturday demo” is over' })).toBeVisible();
  await expect(ann.locator('.summary')).toContainText('Most at once');
  await expect(ann.locator('.summary')).toContainText('Joins');
  await keepPicture(ann, 'ended-host');
  await expect(cleo.getByRole('heading', { name: 'This stream has ended' })).toBeVisible();
  await keepPicture(cleo, 'ended-viewer');
  await expect(card).toContainText('ended', { timeout: 2_000 });
});

test('somebody who leaves can come back', async ({ person, stream }) => {
  const name = await stream();
  const bob = await person();
  await watch(bob, name, 'Bob');
  await expect(bob.getByText('Waiting for the host')).toBeVisible();
  await keepPicture(bob, 'waiting');
  await bob.getByRole('button', { name: 'Leave' }).click();
  await expect(bob.getByRole('heading', { name: /You left/ })).toBeVisible();
  await bob.getByRole('button', { name: 'Join again' }).click();
  await bob.getByRole('button', { name: 'Watch', exact: true }).click();
  await expect(bob.getByText('Waiting for the host')).toBeVisible();
});

test('a shared screen takes the stage', async ({ person, stream }) => {
  const name = await stream();
  const [ann, bob] = [await person(), await person()];
  await goLive(ann, name);
  await watch(bob, name, 'Bob');
  await expectVideo(bob);
  await ann.getByRole('button', { name: 'Share screen' }).click();
  await expect(bob.locator('.cell-small .tile')).toHaveCount(1);
  await expect(bob.locator('.cell:not(.cell-small)')).toContainText('Ann shares the screen');
  await expectVideo(bob);
  await keepPicture(bob, 'screen-share');
  await ann.getByRole('button', { name: 'Share screen' }).click();
  await expect(bob.locator('.cell-small')).toHaveCount(0);
});
