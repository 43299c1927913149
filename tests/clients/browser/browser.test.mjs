// npm livekit-client in Chromium, unmodified, on both signalling paths.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, roomName, service, token, until, url } from "./support.mjs";

let chrome;
before(async () => {
  chrome = await openBrowser();
});
after(async () => {
  await chrome?.close();
});

/** A page that joined `room` as `identity`. */
async function guest(room, identity, options, grant) {
  const page = await chrome.page();
  const jwt = await token(identity, room, grant);
  const took = await page.evaluate(
    ([url, identity, jwt, options]) => t.join(identity, url, jwt, options),
    [url, identity, jwt, options],
  );
  return { page, identity, took, run: (f, arg) => page.evaluate(f, arg) };
}

const publish = (who) =>
  who.run(async () => {
    const [{ room }] = Object.values(t.rooms);
    await room.localParticipant.setCameraEnabled(true, { resolution: { width: 1280, height: 720 } });
    await room.localParticipant.setMicrophoneEnabled(true);
  });

const plays = (viewer, identity, source = "camera") =>
  until(`${viewer.identity} sees ${identity}`, async () => {
    const at = () => viewer.run(([name, of, source]) => t.showing(name, of, source), [viewer.identity, identity, source]);
    const first = await at();
    await new Promise((done) => setTimeout(done, 300));
    const second = await at();
    return first && second && second.time > first.time && (source !== "camera" || second.width > 0) && second;
  });

const close = (...guests) => Promise.all(guests.map((g) => g.page.context().close()));

for (const [path, singlePeerConnection] of [
  ["v1", true],
  ["v0", false],
]) {
  describe(`livekit-client on ${path}`, () => {
    const options = { singlePeerConnection, adaptiveStream: false, dynacast: false };

    test("publishes camera and microphone, two others watch", async () => {
      const room = roomName("watch");
      const host = await guest(room, "host", options);
      await publish(host);
      const [one, two] = [await guest(room, "one", options), await guest(room, "two", options)];
      for (const viewer of [one, two]) {
        await plays(viewer, "host");
        await plays(viewer, "host", "microphone");
        assert.ok((await viewer.run((name) => t.loudness(name, "host"), viewer.identity)) > 0.01, "audio is heard");
      }
      await until("the host knows that it is seen", () =>
        host.run(() => t.rooms.host.log.events.some((e) => e.event === "localTrackSubscribed")),
      );
      if (process.env.SCREENSHOTS) await one.page.screenshot({ path: `${process.env.SCREENSHOTS}/watch-${path}.png` });
      await close(host, one, two);
    });

    test("shows who speaks", async () => {
      const room = roomName("speak");
      const [ann, bob] = [await guest(room, "ann", options), await guest(room, "bob", options)];
      await ann.run(() => t.publishTone("ann"));
      for (const who of [ann, bob]) {
        await until(`${who.identity} sees ann speak`, () =>
          who.run((name) => t.rooms[name].log.speakers.includes("ann"), who.identity),
        );
      }
      await close(ann, bob);
    });

    test("delivers what is published after the viewer came, both ways", async () => {
      const room = roomName("later");
      const [ann, bob] = [await guest(room, "ann", options), await guest(room, "bob", options)];
      await publish(ann);
      await plays(bob, "ann");
      await publish(bob);
      await plays(ann, "bob");
      await plays(bob, "ann");
      await close(ann, bob);
    });

    test("switches layers on request", async () => {
      const room = roomName("layers");
      const host = await guest(room, "host", options);
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      const width = async () => (await viewer.run(() => t.showing("viewer", "host")))?.width;
      const ask = (quality) => viewer.run((q) => t.find("viewer", "host", "camera").setVideoQuality(q), quality);
      await until("the high layer", async () => (await width()) === 1280, 40);
      await ask(0);
      await until("the low layer", async () => (await width()) === 320);
      await ask(1);
      await until("the middle layer", async () => (await width()) === 640);
      await ask(2);
      await until("the high layer again", async () => (await width()) === 1280);
      await plays(viewer, "host");
      await close(host, viewer);
    });

    test("stops sending layers that nobody watches, and sends them again", async () => {
      const room = roomName("dynacast");
      const host = await guest(room, "host", { ...options, dynacast: true });
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      const ask = (quality) => viewer.run((q) => t.find("viewer", "host", "camera").setVideoQuality(q), quality);
      /** Frames sent so far of each layer, lowest first. */
      const sent = () =>
        host.run(async () => {
          const { sender } = t.rooms.host.room.localParticipant.getTrackPublication("camera").videoTrack;
          const layers = [...(await sender.getStats()).values()].filter((s) => s.type === "outbound-rtp" && s.rid);
          return layers.sort((a, b) => "qhf".indexOf(a.rid) - "qhf".indexOf(b.rid)).map((s) => s.framesSent ?? 0);
        });
      /** Which layers send within a second. */
      const sending = async () => {
        const before = await sent();
        await new Promise((done) => setTimeout(done, 1000));
        return (await sent()).map((frames, layer) => frames > (before[layer] ?? 0));
      };
      const only = (...layers) => async () => (await sending()).every((on, layer) => on === layers.includes(layer));
      await until("all layers", only(0, 1, 2), 40);
      await ask(0);
      await until("the low layer alone", only(0), 20);
      await plays(viewer, "host");
      await ask(2);
      await until("all layers again", only(0, 1, 2), 40);
      const width = async () => (await viewer.run(() => t.showing("viewer", "host")))?.width;
      await until("the high layer", async () => (await width()) === 1280, 40);
      await viewer.run(() => t.find("viewer", "host", "camera").setSubscribed(false));
      await until("none", only(), 20);
      await viewer.run(() => t.find("viewer", "host", "camera").setSubscribed(true));
      await until("some layer", async () => (await sending()).some(Boolean), 40);
      await plays(viewer, "host");
      await close(host, viewer);
    });

    test("mutes and unmutes", async () => {
      const room = roomName("mute");
      const host = await guest(room, "host", options);
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      const muted = () => viewer.run(() => t.find("viewer", "host", "camera").isMuted);
      await host.run(() => t.rooms.host.room.localParticipant.setCameraEnabled(false));
      await until("muted", muted);
      await host.run(() => t.rooms.host.room.localParticipant.setCameraEnabled(true));
      await until("unmuted", async () => !(await muted()));
      await plays(viewer, "host");
      await close(host, viewer);
    });

    test("an administrator mutes a microphone", async () => {
      const room = roomName("admin-mute");
      const host = await guest(room, "host", options);
      await publish(host);
      const sid = await host.run(() => t.rooms.host.room.localParticipant.getTrackPublication("microphone").trackSid);
      await until("the track is known", async () => (await service().getParticipant(room, "host")).tracks.length === 2);
      await service().mutePublishedTrack(room, "host", sid, true);
      await until("the client muted itself", () =>
        host.run(() => t.rooms.host.room.localParticipant.getTrackPublication("microphone").isMuted),
      );
      await close(host);
    });

    test("relays data, reliable and lossy, to all or to some", async () => {
      const room = roomName("data");
      const [ann, bob, carl] = [
        await guest(room, "ann", options),
        await guest(room, "bob", options),
        await guest(room, "carl", options),
      ];
      const send = (text, options) =>
        ann.run(
          ([text, options]) => t.rooms.ann.room.localParticipant.publishData(new TextEncoder().encode(text), options),
          [text, options],
        );
      const data = (who) => who.run((name) => t.rooms[name].log.data, who.identity);
      await send("to all", { reliable: true, topic: "chat" });
      await send("to bob", { reliable: true, destinationIdentities: ["bob"] });
      await until("reliable data", async () => (await data(bob)).length >= 2 && (await data(carl)).length >= 1);
      assert.deepEqual((await data(bob))[0], { text: "to all", from: "ann", topic: "chat" });
      assert.equal((await data(carl)).length, 1);
      await until("lossy data", async () => {
        await send("lossy", { reliable: false });
        return (await data(carl)).some((d) => d.text === "lossy");
      });
      const big = "x".repeat(60000);
      const seen = bob.run(
        () =>
          new Promise((done) =>
            t.rooms.bob.room.registerTextStreamHandler("big", async (reader) => done((await reader.readAll()).length)),
          ),
      );
      await new Promise((done) => setTimeout(done, 200));
      await ann.run((text) => t.rooms.ann.room.localParticipant.sendText(text, { topic: "big" }), big);
      assert.equal(await seen, big.length);
      await bob.run(() => t.rooms.bob.room.registerRpcMethod("add", async ({ payload }) => String(Number(payload) + 1)));
      const answer = await ann.run(() =>
        t.rooms.ann.room.localParticipant.performRpc({ destinationIdentity: "bob", method: "add", payload: "41" }),
      );
      assert.equal(answer, "42");
      await close(ann, bob, carl);
    });

    test("publishes and unpublishes twenty times without growing the viewer's SDP", async () => {
      const room = roomName("cycles");
      const host = await guest(room, "host", options);
      const viewer = await guest(room, "viewer", options);
      const size = () => viewer.run(() => t.sdpSize("viewer"));
      let settled = 0;
      for (let round = 0; round < 20; round++) {
        await host.run(async () => {
          const [track] = await t.livekit.createLocalTracks({ video: { resolution: { width: 320, height: 240 } } });
          globalThis.current = await t.rooms.host.room.localParticipant.publishTrack(track, { simulcast: false });
        });
        await plays(viewer, "host");
        if (round === 2) settled = await size();
        await host.run(() => t.rooms.host.room.localParticipant.unpublishTrack(globalThis.current.track));
        await until("the track is gone", async () => !(await viewer.run(() => t.showing("viewer", "host"))));
      }
      assert.ok((await size()) <= settled * 1.1, `from ${settled} to ${await size()}`);
      await close(host, viewer);
    });

    test("resumes after the signal connection is cut", async () => {
      const room = roomName("resume");
      const host = await guest(room, "host", options);
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      const before = (await service().listParticipants(room)).map((p) => p.sid).sort();
      for (const who of [host, viewer]) {
        await who.run((name) => t.cutSignal(name), who.identity);
        await until(`${who.identity} is back`, () =>
          who.run((name) => t.rooms[name].log.events.some((e) => e.event === "reconnected"), who.identity),
        );
      }
      await plays(viewer, "host");
      assert.deepEqual((await service().listParticipants(room)).map((p) => p.sid).sort(), before, "the same sessions");
      await close(host, viewer);
    });

    test("reconnects in full", async () => {
      const room = roomName("full");
      const host = await guest(room, "host", options);
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      for (const who of [viewer, host]) {
        await who.run((name) => t.rooms[name].room.simulateScenario("full-reconnect"), who.identity);
        await until(`${who.identity} is back`, () =>
          who.run((name) => t.rooms[name].log.events.some((e) => e.event === "reconnected"), who.identity),
        );
        await plays(viewer, "host");
      }
      await close(host, viewer);
    });

    test("sees permissions and metadata change", async () => {
      const room = roomName("meta");
      const host = await guest(room, "host", options);
      await publish(host);
      const viewer = await guest(room, "viewer", options);
      await plays(viewer, "host");
      await service().updateRoomMetadata(room, "new room");
      await service().updateParticipant(room, "host", { metadata: "new host", attributes: { a: "b" } });
      await until("metadata", () =>
        viewer.run(() => {
          const { room } = t.rooms.viewer;
          const host = room.remoteParticipants.get("host");
          return room.metadata === "new room" && host.metadata === "new host" && host.attributes.a === "b";
        }),
      );
      await service().updateParticipant(room, "host", {
        permission: { canPublish: false, canSubscribe: true, canPublishData: true },
      });
      await until("the tracks are gone", async () => !(await viewer.run(() => t.showing("viewer", "host"))));
      await until("the host knows", () => host.run(() => !t.rooms.host.room.localParticipant.permissions.canPublish));
      await close(host, viewer);
    });

    test("is told when it is removed and when the room is deleted", async () => {
      const room = roomName("remove");
      const [ann, bob] = [await guest(room, "ann", options), await guest(room, "bob", options)];
      const ended = (who) =>
        until(`${who.identity} is out`, () =>
          who.run((name) => t.rooms[name].log.events.find((e) => e.event === "disconnected")?.text, who.identity),
        );
      await service().removeParticipant(room, "ann");
      assert.equal(await ended(ann), "4");
      await service().deleteRoom(room);
      assert.equal(await ended(bob), "5");
      await close(ann, bob);
    });

    test("says why it is not let in", async () => {
      const page = await chrome.page();
      const jwt = await token("ann", "x", { roomJoin: false });
      const error = await page.evaluate(
        ([url, jwt, options]) => t.join("ann", url, jwt, options).catch((e) => `${e.reason}: ${e.message}`),
        [url, jwt, options],
      );
      assert.match(String(error), /permissions denied/);
      await page.context().close();
    });
  });
}
