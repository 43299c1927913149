// How long a viewer in Chromium waits: from room.connect to the first decoded picture, several times, as JSON
// in milliseconds. A measurement for scripts/bench-media, no test.
import { openBrowser, roomName, token, until, url } from "./support.mjs";

const times = Number(process.argv[2] ?? 8);
const options = { adaptiveStream: false, dynacast: false };
const chrome = await openBrowser();
try {
  const room = roomName("first-frame");
  const enter = async (page, identity) => {
    const jwt = await token(identity, room);
    return page.evaluate(([url, identity, jwt, options]) => t.join(identity, url, jwt, options), [url, identity, jwt, options]);
  };
  const host = await chrome.page();
  await enter(host, "host");
  await host.evaluate(async () => {
    const { localParticipant } = t.rooms.host.room;
    await localParticipant.setCameraEnabled(true, { resolution: { width: 1280, height: 720 } });
    await localParticipant.setMicrophoneEnabled(true);
  });
  const waits = [];
  // The first viewer also waits for the camera to start and is not counted.
  for (let i = 0; i <= times; i++) {
    const page = await chrome.page();
    const jwt = await token(`viewer-${i}`, room);
    const wait = await page.evaluate(
      async ([url, jwt, options]) => {
        const started = performance.now();
        const seen = new Promise((done) => {
          new MutationObserver(() => {
            const video = document.querySelector("video");
            video?.requestVideoFrameCallback(() => done(performance.now() - started));
          }).observe(document.body, { childList: true });
        });
        await t.join("viewer", url, jwt, options);
        return Promise.race([seen, new Promise((_, fail) => setTimeout(() => fail(new Error("no picture")), 20000))]);
      },
      [url, jwt, options],
    );
    if (i > 0) waits.push(Math.round(wait));
    await page.context().close();
  }
  await until("the last viewer is gone", () => host.evaluate(() => t.rooms.host.room.remoteParticipants.size === 0));
  console.log(JSON.stringify(waits));
} finally {
  await chrome.close();
}
