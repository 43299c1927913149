// The embedded server restarted under connected clients: they come back by themselves.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { key, openBrowser, roomName, secret, token, until } from "./support.mjs";

const program = process.env.MEDIA_BIN;

async function freePort() {
  const server = createTcp().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

describe("a restart", { skip: !program && "MEDIA_BIN, the program to restart, is not set" }, () => {
  let chrome, hooks, http, udp, running;
  const events = [];

  async function start() {
    running = spawn(program, {
      env: {
        ...process.env,
        MEDIA_LISTEN: `127.0.0.1:${http}`,
        MEDIA_UDP: `127.0.0.1:${udp}`,
        MEDIA_WEBHOOKS: `http://127.0.0.1:${hooks.address().port}/`,
        LIVEKIT_API_KEY: key,
        LIVEKIT_API_SECRET: secret,
        RUST_LOG: "error",
      },
      stdio: ["ignore", "inherit", "inherit"],
    });
    await until("the server is up", () => fetch(`http://127.0.0.1:${http}/`).then((r) => r.ok, () => false));
  }

  async function stop() {
    const ended = once(running, "exit");
    running.kill("SIGTERM");
    await ended;
  }

  before(async () => {
    hooks = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      events.push(JSON.parse(body).event);
      response.end();
    });
    hooks.listen(0, "127.0.0.1");
    await once(hooks, "listening");
    [http, udp] = [await freePort(), await freePort()];
    chrome = await openBrowser();
  });

  after(async () => {
    running?.kill("SIGKILL");
    await chrome?.close();
    hooks?.close();
  });

  for (const [path, singlePeerConnection] of [
    ["v1", true],
    ["v0", false],
  ]) {
    test(`of the server on ${path}: three clients come back and the video goes on`, async () => {
      await start();
      const room = roomName("restart");
      const options = { singlePeerConnection };
      const names = ["host", "one", "two"];
      const pages = await Promise.all(names.map(() => chrome.page()));
      for (const [i, name] of names.entries()) {
        const jwt = await token(name, room);
        await pages[i].evaluate(([n, u, j, o]) => t.join(n, u, j, o), [name, `ws://127.0.0.1:${http}`, jwt, options]);
      }
      await pages[0].evaluate(() => t.rooms.host.room.localParticipant.setCameraEnabled(true));
      const plays = (i) =>
        until(`${names[i]} sees the host`, async () => {
          const time = () => pages[i].evaluate((name) => t.showing(name, "host")?.time ?? -1, names[i]);
          const first = await time();
          await new Promise((done) => setTimeout(done, 300));
          return first >= 0 && (await time()) > first;
        }, 40);
      await Promise.all([plays(1), plays(2)]);
      await until("webhooks", () => events.includes("track_published"));
      const before = events.length;
      await stop();
      assert.deepEqual(events.slice(before), [], "nobody was reported as left");
      const restarted = Date.now();
      await start();
      for (const [i, name] of names.entries()) {
        await until(`${name} is back`, () =>
          pages[i].evaluate((n) => t.rooms[n].log.events.some((e) => e.event === "reconnected"), name), 60);
      }
      await Promise.all([plays(1), plays(2)]);
      console.log(`${path}: video again ${Date.now() - restarted} ms after the restart`);
      assert.ok(!pages.some((p) => p.closed));
      for (const page of pages) await page.context().close();
      await stop();
      events.length = 0;
    });
  }
});
