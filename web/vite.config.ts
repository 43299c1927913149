// How the pages are built and, while working on them, served.
//
// The built files are embedded in the `livestream` binary, which serves
// `/assets/*` for ever (the names carry a hash) and the HTML with an ETag.

import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const entry = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Where `npm run dev` finds the program; signalling of the embedded media server included. */
const program = process.env.LIVESTREAM_URL ?? 'http://127.0.0.1:3000';
const proxied = ['/streams', '/sse', '/rtc', '/twirp', '/openapi.json'];

export default defineConfig({
  plugins: [react()],
  build: {
    target: ['es2022', 'chrome111', 'firefox114', 'safari16.4'],
    // Nothing inline: the content security policy allows files of this origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rollupOptions: {
      input: {
        index: entry('index.html'),
        room: entry('room.html'),
        embed: entry('embed.html'),
        docs: entry('docs.html'),
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      proxied.map((path) => [path, { target: program, ws: true, changeOrigin: false }]),
    ),
  },
  test: {
    environment: 'jsdom',
    include: ['test/**/*.test.{ts,tsx}'],
    setupFiles: ['test/setup.ts'],
    restoreMocks: true,
    // Generous: the machine may be busy building.
    testTimeout: 30_000,
  },
});
