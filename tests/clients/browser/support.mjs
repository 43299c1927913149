// Shared by the tests: where the server is, tokens, a Chromium with a fake camera and microphone.
import { createServer } from "node:http";
import { build } from "esbuild";
import { AccessToken, RoomServiceClient } from "livekit-server-sdk";
import { chromium } from "playwright-core";

export const url = process.env.LIVEKIT_URL ?? "ws://127.0.0.1:7880";
export const key = process.env.LIVEKIT_API_KEY ?? "devkey";
export const secret = process.env.LIVEKIT_API_SECRET ?? "secretsecretsecretsecretsecretsecret";
export const http = url.replace(/^ws/, "http");

export const service = () => new RoomServiceClient(http, key, secret);

export function token(identity, room, grant = {}) {
  const access = new AccessToken(key, secret, { identity, ttl: "1h" });
  access.addGrant({ roomJoin: true, room, ...grant });
  return access.toJwt();
}

let counter = 0;
export const roomName = (what) => `${what}-${process.pid}-${counter++}-${Date.now() % 100000}`;

/** Waits until `check` gives something true, or throws with what it gave last. */
export async function until(what, check, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    last = await check();
    if (last) return last;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

/** A browser whose pages know livekit-client as `t`. */
export async function openBrowser() {
  const bundle = await build({
    entryPoints: [new URL("page.js", import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "iife",
    target: "chrome120",
  });
  const script = bundle.outputFiles[0].text;
  const server = createServer((request, response) => {
    const page = request.url === "/";
    response.setHeader("content-type", page ? "text/html" : "text/javascript");
    response.end(page ? "<!doctype html><title>test</title><body><script src=/page.js></script>" : script);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-background-timer-throttling",
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
    ],
  });
  const origin = `http://127.0.0.1:${server.address().port}/`;
  return {
    browser,
    /** A page of its own; `problems` collects what it complains about. */
    async page() {
      const context = await browser.newContext({ permissions: ["camera", "microphone"] });
      const page = await context.newPage();
      page.problems = [];
      page.on("pageerror", (error) => page.problems.push(String(error)));
      page.on("console", (message) => {
        if (process.env.DEBUG_PAGES) console.error(message.text());
        if (message.type() === "error") page.problems.push(message.text());
      });
      await page.goto(origin);
      return page;
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
