// Browser tests, in a real Chromium with a made-up camera and microphone.
//
// BASE_URL        a running program to test, or
// LIVESTREAM_BIN  the program to start (default: the debug or release build),
// MODE            `livekit` (default): beside a LiveKit started from
//                 LIVEKIT_SERVER_BIN, or `embedded`: with its own media server,
// PAGES           `dist`: the pages as they were built last, whatever the program
//                 carries,
// CHROMIUM        the browser (default: Debian's).

import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: '.',
  outputDir: '../test-output/run',
  // One file at a time: video in several pages is enough for a small machine.
  workers: 1,
  fullyParallel: false,
  timeout: 90_000,
  expect: { timeout: 10_000 },
  retries: 0,
  reporter: [['list'], ['json', { outputFile: '../test-output/results.json' }]],
  use: {
    viewport: { width: 1280, height: 720 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
        '--auto-select-desktop-capture-source=Entire screen',
        '--disable-dev-shm-usage',
        '--disable-gpu',
        // As in a browser with a window: no sound before somebody touched the page.
        '--autoplay-policy=document-user-activation-required',
      ],
    },
  },
});
